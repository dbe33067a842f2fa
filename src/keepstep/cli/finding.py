"""A finding: one line of what ``keepstep doctor`` reports."""

from __future__ import annotations

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """What was found, and what to do about it."""

    level: Literal["ok", "warning", "problem"]
    what: str
    do: str = ""
