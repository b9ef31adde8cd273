"""Runs that were not trained here: they have directories like all others, so every page shows them.

recording    the directory: made, filled epoch by epoch, completed
recorder     a few lines in anyone's loop
handed       what a loop hands over, as a data set
merging      several processes record one run
numbered     a data set that also gives ids
observing    what callbacks share
lightning, huggingface   the callbacks; each imports its library
images       the images of a run, for other programs
loading      files of weights as the epochs of a run (loads torch)
doubts       whether a loaded network is what it was where it was trained (loads torch)
"""
