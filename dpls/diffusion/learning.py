"""The training of a denoiser: once for a data set, then it is read. Loads torch."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from dpls.component import ENGINE, digest
from dpls.data.split import Split
from dpls.diffusion.chain import LEVELS, noised
from dpls.diffusion.denoiser import Denoiser
from dpls.disk import placed
from dpls.randomness import generator

BATCH = 64
RATE = 2e-3


def learnt(split: Split, folder: Path, width: int, updates: int, say: Callable[[str], None]) -> Denoiser:
    """The denoiser of a training split's images, frozen. What the folder keeps is read, else it is trained and kept.

    folder: of that data set. One that is damaged is trained again: the numbers are the same on the same machine.
    """
    file = folder / f"denoiser-{digest(ENGINE, width, updates, split.device.type)}.safetensors"
    denoiser = Denoiser(split.images.shape[1], width)
    try:
        denoiser.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError):
        denoiser = learn(split, width, updates, say)
        content = save({name: value.cpu().contiguous() for name, value in denoiser.state_dict().items()})
        with placed(file) as aside:
            aside.write(content)
    return denoiser.to(split.device).eval().requires_grad_(False)


def learn(split: Split, width: int, updates: int, say: Callable[[str], None], seed: int = 0) -> Denoiser:
    """A denoiser trained on images alone, without labels, by Adam, its rate falling to 0 along half a cosine."""
    denoiser = Denoiser(split.images.shape[1], width, seed).to(split.device)
    optimiser = torch.optim.Adam(denoiser.parameters(), RATE)
    g = generator(seed, "diffusion")
    for update in range(updates):
        if update % 50 == 0:
            say(f"training the diffusion model, {update:,} of {updates:,} updates")
        optimiser.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * update / updates)) / 2
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(denoising_loss(denoiser, split, g))
        optimiser.step()
    return denoiser


def denoising_loss(denoiser: Denoiser, split: Split, g: torch.Generator) -> Tensor:
    """(): mean squared error of the noise seen in a batch at levels drawn from 1 to 1000; 1 for who sees none, lower is
    better. All that is drawn comes from ``g``, on the CPU."""
    x = split.batch(torch.randint(len(split), (BATCH,), generator=g)).x
    level = torch.randint(1, LEVELS + 1, (BATCH,), generator=g).to(x.device)
    noise = torch.randn(x.shape, generator=g).to(x.device)
    seen: Tensor = denoiser(noised(2 * x - 1, level, noise), level)
    return (seen - noise).square().mean()
