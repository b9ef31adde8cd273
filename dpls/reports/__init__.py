"""A run as one file of HTML that opens offline. No torch.

document   its sections, in the order a reader asks
results    accuracies and their trust, training
images     who is hard: distribution, hardest images, factors
parts      what all of it is made of, escaped; style.css, how it looks
"""

from dpls.reports.document import document

__all__ = ["document"]
