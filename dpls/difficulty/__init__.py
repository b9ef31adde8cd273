"""How hard each example is.

record     signals of every example in every epoch; DifficultyTracker for other people's loops (loads torch)
signals    the record as measures read it
measures   from signals to scores, a function a measure
scale      from scores to difficulty in [0, 1]; orders by it
causes     which measure finds what was planted
agreement  do measures, seeds and lengths of T agree?
verdict    may this difficulty be believed?
"""
