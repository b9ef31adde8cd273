"""What a phase does, as settings without torch.

objective    what every objective shares: craft and loss
objectives   standard training, PGD-AT, TRADES
labels       factors (hard, uniform, DPLS, controls), soft labels, lambda_min from a target mean
subset       which examples a phase leaves out or trains on alone

A new objective, or what stands around one (``inner: Plain``), is a file here and a name in the union below.
"""

from typing import Annotated

from pydantic import Field

from dpls.methods.objectives import PGDAT, TRADES, Standard

AnyObjective = Annotated[Standard | PGDAT | TRADES, Field(discriminator="kind")]
"""The family that a configuration chooses from."""

__all__ = ["PGDAT", "TRADES", "AnyObjective", "Standard"]
