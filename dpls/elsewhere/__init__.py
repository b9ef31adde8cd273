"""Runs that were not trained here: they have directories like all others, so every page shows them.

recording    the directory: made, filled epoch by epoch, completed
"""
