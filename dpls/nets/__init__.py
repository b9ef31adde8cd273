"""Networks.

networks   WideResNet, PreActResNet-18, SmallCNN: settings
layers     what they are built of (loads torch)
elsewhere  a net with other weights in place of its own (loads torch)
weights    what tells weights from others (loads torch)
foreign/   weights that other programs saved
frozen     frozen_eval, for every pass that is not a training step (loads torch)
"""
