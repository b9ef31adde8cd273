"""The three memorization experiments of the article and a sweep of lambda_min, each with the control it needs.

outcomes    what the runs of an experiment did, example by example: the one table that results are computed from
results     what every experiment's result is made of: lines, verdicts, images; charts draws it
pruning, subsets, membership, smoothing    from outcomes to a result, one experiment a file
plan        a run to be, and what all experiments share; plans: the experiments' settings and arms. These load torch
cost        what an experiment will cost, measured; loads torch
stored      an experiment's folder, read; conduct: start, resume, stop
"""
