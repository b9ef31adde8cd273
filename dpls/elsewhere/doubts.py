"""Whether a network that was loaded is what it was where it was trained. Loads torch.

No file says how its own code normalised pixels, or what its shortcuts took; a net that is built otherwise answers, but
wrongly. So a look at some training images comes first.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from dpls.data.split import Split
from dpls.difficulty.verdict import chance_of
from dpls.errors import UserError
from dpls.nets.frozen import frozen_eval, is_right
from dpls.nets.networks import Net
from dpls.randomness import generator
from dpls.recipe import RunConfig

LOOKED_AT = 100
"""Training images."""
ENOUGH = 0.5
"""Share of them: a net that gets more right is believed."""
NEWS = 0.1
"""By how much more another setting must get right to be spoken of."""
UNSHOWN = (("normalise", (True, False)), ("shortcut", ("raw", "activated")), ("activation", ("silu", "relu")))
"""Settings of networks that no name and no shape in a file shows."""


def doubts(config: RunConfig, train: Split, classes: int, net: nn.Module, assignments: Sequence[str]) -> list[str]:
    """How many of some training images it gets right, and, where these are few, what might be the cause; sentences.

    assignments: what a person has set, who shall not be told to set it otherwise.
    """
    some = train.sample(min(LOOKED_AT, len(train)))
    right = _share_right(net, some)
    said = [f"It is right on {right:.0%} of {len(some)} training images, clean"]
    if right > ENOUGH:
        return said
    state, channels = net.state_dict(), train.images.shape[1]
    for words, other in _alternatives(config.net, assignments):
        twin = other(channels, classes, generator(config.seed, "initialisation"), train.pixel_statistics())
        twin.load_state_dict({name: t for name, t in state.items() if name not in ("0.mean", "0.std")}, strict=False)
        if (better := _share_right(twin, some)) > right + NEWS:
            said.append(f"With --set {words} it would be right on {better:.0%}: load it so, if so it was trained")
    if len(said) == 1 and right < 1.5 * chance_of(train.labels.numpy()):
        said.append(
            "That is hardly more than chance: see whether these are the images and the order of classes it was trained"
            " with, and how its own code normalises pixels (net.pixel_mean, net.pixel_std)"
        )
    return said


@torch.no_grad()
def check_answers(net: nn.Module, train: Split, classes: int, name: str) -> None:
    """Refuses a network of one's own that does not give a logit for each class, or whose eval mode is not its own when
    its batch norms are folded. ``name``: of the function that built it."""
    x = train.take(torch.arange(min(4, len(train)))).batch(torch.arange(min(4, len(train)))).x
    try:
        plain = net.eval()(x)
        folded = frozen_eval(net)(x)
    except Exception as error:
        raise UserError(f"the network of {name} fails on images {tuple(x.shape)} ({error}); mend it") from None
    if not isinstance(plain, torch.Tensor) or plain.shape != (len(x), classes):
        shape = tuple(plain.shape) if isinstance(plain, torch.Tensor) else type(plain).__name__
        raise UserError(f"the network of {name} answers {shape}, and logits {(len(x), classes)} are needed; mend it")
    if not torch.allclose(plain, folded, rtol=1e-3, atol=1e-3):
        raise UserError(
            f"the network of {name} computes otherwise once its batch norms are folded into the convolutions before"
            " them; keep those that share layers out of one nn.Sequential"
        )


def _alternatives(net: Net, assignments: Sequence[str]) -> Iterator[tuple[str, Net]]:
    if not net.is_chosen:
        return
    given = {assignment.partition("=")[0].strip() for assignment in assignments}
    for name, values in UNSHOWN:
        now = getattr(net, name, None)
        if now is not None and f"net.{name}" not in given and not (name == "normalise" and net.pixel_mean):
            yield from (
                (f"net.{name}={str(value).lower()}", net.model_copy(update={name: value}))
                for value in values
                if value != now
            )


@torch.no_grad()
def _share_right(net: nn.Module, split: Split) -> float:
    frozen = frozen_eval(net)
    return sum(float(is_right(frozen(batch.x), batch.y).sum()) for batch in split.batches(50)) / len(split)
