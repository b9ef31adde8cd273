"""Networks that somebody's own file builds.

Building one runs that file's code, so it is run only where the command line of this very process names it: neither
settings nor run directories can have code run.
"""

import copy
import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
from torch import nn

from dpls.errors import UserError

_run: dict[str, ModuleType] = {}
"""What was run in this process, by the hash of the file."""
_built: dict[tuple[str, str, int], nn.Module] = {}


class Named(NamedTuple):
    """code: hash of the file, 20 hex digits. function: in it, from the number of classes (or nothing) to a module."""

    code: str
    function: str


def run_file(text: str) -> Named:
    """Runs FILE.py of ``FILE.py:function``. A UserError where there is none, or it fails."""
    name, _, function = text.rpartition(":")
    path = Path(name)
    if path.suffix != ".py" or not function.isidentifier():
        raise UserError(f"--net {text!r} does not name a function of a file; write --net FILE.py:function")
    try:
        code = hashlib.sha256(path.read_bytes()).hexdigest()[:20]
    except OSError as error:
        raise UserError(f"cannot read {name!r} ({error.strerror}); write --net FILE.py:function") from None
    spec = importlib.util.spec_from_file_location(f"dpls_own_{code}", path)
    assert spec is not None and spec.loader is not None  # it ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent.resolve()))  # as for a script: it may import what lies beside it
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{name!r} cannot be run ({type(error).__name__}: {error}); mend it") from None
    finally:
        sys.path.pop(0)
    if not callable(getattr(module, function, None)):
        raise UserError(f"{name!r} has no function {function!r}; write --net FILE.py:function")
    _run[code] = module
    return Named(code, function)


def build(code: str, function: str, classes: int) -> nn.Module:
    """The module that the function gives for so many classes, always with the same first weights; a copy."""
    if code not in _run:
        raise UserError(
            "the network of this run is built by a file of somebody's own, which is run only where a terminal names it:"
            f" add --net FILE.py:{function}, the file it was loaded with, to train, work or evaluate"
        )
    if (code, function, classes) not in _built:
        _built[code, function, classes] = _made(getattr(_run[code], function), function, classes)
    return copy.deepcopy(_built[code, function, classes])


def _made(function: object, name: str, classes: int) -> nn.Module:
    assert callable(function)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            found = function(classes) if inspect.signature(function).parameters else function()
    except Exception as error:
        raise UserError(f"{name}({classes}) failed ({type(error).__name__}: {error}); mend it") from None
    if not isinstance(found, nn.Module):
        raise UserError(f"{name}({classes}) gives {type(found).__name__}, not a torch.nn.Module; mend it")
    return found.float()
