"""A person's own images, as people have them: a folder, or an .npz file of arrays. No torch here.

layout     which files of a folder are images of which class and part, and what is left out
decoding   one file to one image
levels     which value is white, decided once for a whole data set
folder     the source that reads a folder
arrays     images and labels of arrays, in the ways they are saved
npz        the source that reads a file of arrays
"""
