"""THE MAIN PATH: ``loop.train`` reads like Algorithm 1.

loop          train(), an epoch, what is observed after it
learner       net, forward, optimiser, averaged weights: what a state keeps
checkpoints   full states, resuming, branching
"""
