"""The run directory, the only meeting point: the engine writes it, pages read it. No torch.

directory   every file name in one place
folder      a folder of runs: making one, listing, finding
files       written whole or not at all; where runs and images are kept
choice      which examples take part, how hard they are, how their labels are smoothed
examples    the per-example table
report      a run in words, two runs compared
sidecar     factors as a file for other people's loops
tables      what other programs wrote, read
scores      other people's scores, shown like a measure
"""
