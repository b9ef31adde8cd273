"""Scores computed elsewhere: matched to the images of a data set, kept beside the runs, shown like a measure. No torch.

reading     a file becomes a score an image, and a sentence on how
matching    which image a row is about
paths, ids, labels    what a file may say of an image
kept        scores in the folder of runs
training    scores that a run is trained by
"""

from dpls.runs.scores.kept import file_of, keep, load, names
from dpls.runs.scores.reading import Brought, read_scores

__all__ = ["Brought", "file_of", "keep", "load", "names", "read_scores"]
