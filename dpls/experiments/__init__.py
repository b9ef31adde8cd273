"""The three memorization experiments of the article, each with the control it needs.

outcomes    what the runs of an experiment did, example by example: the one table that results are computed from
results     what every experiment's result is made of: lines, verdicts, images
pruning, subsets, membership    from outcomes to a result, one experiment a file
plans       from settings to runs: arms, seeds, who branches from whom. Loads torch, unlike the others
stored      an experiment's folder: start, resume, stop, read
"""
