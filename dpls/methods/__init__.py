"""What a phase does, as settings without torch.

objective    what every objective shares: craft and loss
objectives   standard training, PGD-AT, TRADES
labels       factors (hard, uniform, DPLS, controls), soft labels, lambda_min from a target mean
subset       which examples a phase leaves out or trains on alone
"""
