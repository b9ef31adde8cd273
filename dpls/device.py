"""Where to compute, and how precisely: settings, and what they mean on this machine, for which torch is loaded."""

import os
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from dpls.errors import UserError

if TYPE_CHECKING:
    import torch

DeviceName = Annotated[
    str,
    Field(pattern=r"^(auto|cpu|cuda|cuda:[0-9]{1,3})$", description="auto (CUDA if there is one), cpu, cuda or cuda:N"),
]
Precision = Literal["auto", "float32", "bfloat16"]


def resolve_device(name: str) -> "torch.device":
    """The torch device that 'auto', 'cpu', 'cuda' or 'cuda:N' means on this machine."""
    import torch

    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= count:
        choices = ", ".join(["cpu", *(f"cuda:{i}" for i in range(count))])
        raise UserError(f"device {name!r} is not on this machine; choose from {choices}")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def multiplies_bfloat16(device: "torch.device") -> bool:
    """Whether the hardware multiplies bfloat16 natively: CUDA 8.0 and later, CPUs with AMX or AVX512-BF16."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu._is_avx512_bf16_supported())  # every CPU with AMX has AVX512-BF16 too


def resolve_precision(precision: Precision, device: "torch.device") -> "torch.dtype":
    """The type in which training multiplies and attacks propose; float32 judges in any case.

    DPLS_PRECISION, where it is set, says what 'auto' means.
    """
    import torch

    if precision == "auto":
        said = os.environ.get("DPLS_PRECISION", "")
        if said not in ("", "float32", "bfloat16"):
            raise UserError(f"DPLS_PRECISION is {said!r}; choose from float32, bfloat16")
        low = said == "bfloat16" or (not said and multiplies_bfloat16(device))
    else:
        low = precision == "bfloat16"
    return torch.bfloat16 if low else torch.float32


def make_deterministic() -> None:
    """Same numbers from the same seed on the same machine; called once by a worker, before it computes."""
    import torch

    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
