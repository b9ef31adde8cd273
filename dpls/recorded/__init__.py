"""Finished runs that the app opens on, read-only: the two demo runs. ``make recorded`` makes them anew."""
