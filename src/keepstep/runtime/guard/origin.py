"""Whose code is it: the user's, the engine's, an installed package's, or the standard library's?"""

from __future__ import annotations

import os
import sysconfig
from functools import lru_cache
from pathlib import PurePath

_STANDARD = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def is_ours(module: str) -> bool:
    """Whether a module is the engine's. Its examples are user code."""
    return module == "keepstep" or (module.startswith("keepstep.") and not module.startswith("keepstep.examples"))


@lru_cache(maxsize=4096)
def is_standard(file: str) -> bool:
    return file.startswith(("<frozen", *_STANDARD)) and not _is_installed(file)


@lru_cache(maxsize=4096)
def is_library(file: str) -> bool:
    """Whether a file belongs to the standard library or to an installed package."""
    return is_standard(file) or _is_installed(file)


def is_shipped(file: str) -> bool:
    """Whether a file comes with the code: a package's, or what C code opens without a frame of its own (the time
    zones; the lines of source in a traceback that the interpreter prints)."""
    return is_library(file) or file.endswith(".py") or "zoneinfo" in PurePath(file).parts


def _is_installed(file: str) -> bool:
    return not _INSTALLED.isdisjoint(PurePath(file).parts)
