"""What a phase does, as settings without torch.

objective    what every objective shares: craft and loss
objectives   standard training, PGD-AT, TRADES, MART; the list of what a wrapper may stand around
single_step  fast adversarial training: FGSM-RS, N-FGSM
awp          adversarial weight perturbation around any of these
elsewhere    what another program trained
labels       factors (hard, uniform, DPLS, controls), soft labels, lambda_min from a target mean
subset       which examples a phase leaves out or trains on alone

A new objective is a file here and a name in ``objectives.Plain``; what stands around one (``inner: Plain``) is a file
here and a name in the union below.
"""

from typing import Annotated

from pydantic import Field

from dpls.methods.awp import AWP
from dpls.methods.elsewhere import Elsewhere
from dpls.methods.objectives import MART, PGDAT, TRADES, Plain, Standard
from dpls.methods.single_step import FGSMRS, NFGSM

AnyObjective = Annotated[Plain | AWP | Elsewhere, Field(discriminator="kind")]
"""The family that a configuration chooses from."""

__all__ = ["AWP", "FGSMRS", "MART", "NFGSM", "PGDAT", "TRADES", "AnyObjective", "Elsewhere", "Standard"]
