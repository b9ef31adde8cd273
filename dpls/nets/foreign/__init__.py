"""Weights that other programs saved, for networks known here.

reading   a file of safetensors or a torch state dict to tensors by name; nothing is ever unpickled (loads torch)
layouts   how other codebases call the same layers, and which network a file is of
own       networks that somebody's own file builds (loads torch)
fitting   the tensors of a file in the places of a network (loads torch)
"""
