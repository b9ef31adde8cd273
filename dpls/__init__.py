"""DPLS Lab: difficulty proportional label smoothing."""
