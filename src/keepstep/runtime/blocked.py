"""Blocked: the code asks for something else than history holds.

A contradiction is found when a recorded event finds nobody who asked for it, or somebody who asked for something else.
Nothing is written to history then. The diff is what a person needs: what history has, what the code asked instead, and
where in the code that is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import Error, Event

if TYPE_CHECKING:
    import asyncio

    from .operation import Operation

_PACKAGE = str(Path(__file__).resolve().parents[1])


class Site(msgspec.Struct, frozen=True):
    """A place in the user's code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


class Asked(msgspec.Struct, frozen=True):
    """An operation that the code asked for and history does not hold."""

    key: str
    what: str
    site: Site | None


class Diff(msgspec.Struct, frozen=True):
    """Why a run is blocked."""

    summary: str
    seq: int = 0
    history: str = ""
    """What history holds at ``seq``, in words."""
    asked: tuple[Asked, ...] = ()

    def __str__(self) -> str:
        lines = [self.summary]
        if self.history:
            lines.append(f"  history has    seq {self.seq}: {self.history}")
        for each in self.asked:
            lines.append(f"  the code asks  {each.key}: {each.what}" + (f"   at {each.site}" if each.site else ""))
        if self.history and not self.asked:
            lines.append("  the code asks  nothing more on any branch")
        return "\n".join(lines)


class Contradiction(Error):
    """Raised inside the runtime; the worker parks the run as blocked with the diff."""

    def __init__(self, diff: Diff) -> None:
        super().__init__(str(diff))
        self.diff = diff


def never_asked(event: Event, what: str, pending: Iterable[Operation]) -> Contradiction:
    """History holds an answer that nothing in the code waits for."""
    summary = "The code does not fit the run's history: it has not asked for what was recorded next."
    return Contradiction(Diff(summary, event.seq, f"{event.type} {event.key}{what}", _asked(pending)))


def asked_differently(event: Event, recorded: str, operation: Operation, why: str) -> Contradiction:
    """The code asked for the recorded key, but with another kind, name or arguments."""
    summary = f"The code does not fit the run's history: {why}."
    return Contradiction(Diff(summary, event.seq, f"{event.type} {event.key} ({recorded})", _asked([operation])))


def _asked(pending: Iterable[Operation]) -> tuple[Asked, ...]:
    return tuple(Asked(each.key, each.name, site_of(each.task)) for each in list(pending)[:10])


def site_of(task: asyncio.Task[Any] | None) -> Site | None:
    """Where a suspended task stands in the user's code: its innermost frame outside of Keepstep and asyncio."""
    found: Site | None = None
    crossing = getattr(task, "crossing", None)
    if crossing is not None:
        return _innermost(crossing.frame)
    awaited: Any = task.get_coro() if task is not None else None
    while awaited is not None:
        frame: FrameType | None = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            frame = getattr(awaited, "ag_frame", None)
        if frame is not None and is_user_code(frame.f_code):
            found = Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return found


def _innermost(frame: FrameType | None) -> Site | None:
    """Where a sync function stands, by its stack."""
    while frame is not None and not is_user_code(frame.f_code):
        frame = frame.f_back
    return None if frame is None else Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)


def is_user_code(code: CodeType) -> bool:
    """True for code that is neither Keepstep's nor asyncio's."""
    name = code.co_filename
    return not name.startswith(_PACKAGE) and "/asyncio/" not in name and not name.startswith("<frozen")
