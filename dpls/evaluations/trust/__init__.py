"""What speaks for and against a robust accuracy: checks of the net under attack, and the card that says it.

budget   how much the checks try
card     a line and a colour each; the worst colour decides
checks   the evaluation that looks at gradients, randomness, batches: settings
judged   evaluations of one checkpoint side by side, and the card of one of them
probes   what the checks try on a chunk of images (loads torch)
rules    lines from what the checks found
search   the black box (loads torch)
"""
