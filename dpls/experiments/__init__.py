"""The three memorization experiments of the article and a sweep of lambda_min, each with the control it needs.

base        a run to be, and what a kind of experiment is: settings, runs, what outcomes say, words
kinds       the kinds, one a file, and the list that command line, form and page read
outcomes    what the runs of an experiment did, example by example: the one table that results are computed from
result      what every result is made of: lines, claims, charts, images; figures draws it
compare     from outcomes to these parts, as all kinds do it; answers: image by image
stored      an experiment's folder, read; conduct: start, resume, stop
cost        what an experiment will cost, measured; foreground: an experiment in this process. These two load torch
"""
