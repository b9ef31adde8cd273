"""A person's own images, as people have them: a folder, parquet files, or an .npz file of arrays. No torch here.

scan       which files are in a folder, and what is left out
layout     which of them are images of which class and part
decoding   one encoded image to one small one
gathering  many of them to an array; broken ones are left out and said
levels     which value is white, decided once for a whole data set
folder     the source that reads a folder
shards     which parquet files are of which part
columns    which columns hold images and labels; their rows, some at a time
parquet    the source that reads parquet files
arrays     images and labels of arrays, in the ways they are saved
npz        the source that reads a file of arrays
"""
