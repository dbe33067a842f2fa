"""Trace: the text of a traceback, as Python prints it.

Python's own ``traceback`` looks at the source file of every frame again, and parses its line to place the markers below
it, which takes longer than most steps that fail. Programs fail at few places and at those often, so the text of a frame
is kept by the place in its code, which does not change. A group of errors is left to Python whole.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterator
from types import CodeType, TracebackType

PLACES_KEPT_MAX = 4096
"""Places in code whose text is kept; beyond it, all are forgotten."""

REPEATED_SHOWN_MAX = 3
"""Of one line that calls itself, so many are shown, as Python does."""

_texts: dict[tuple[int, int], tuple[CodeType, str]] = {}
"""By the identity of the code, which is kept beside the text so that it stays its own, and the place in it."""


def trace_of(error: BaseException, frames_max: int) -> str:
    """The error with its traceback, of which the last so many frames are shown; without notes, causes and contexts."""
    is_group = isinstance(error, BaseExceptionGroup)
    entries = () if is_group else deque(_entries(error.__traceback__), maxlen=frames_max)
    whole = traceback.TracebackException(
        type(error), error, error.__traceback__, limit=-frames_max if is_group else 0, compact=True
    )
    whole.__notes__ = None
    end = "".join(whole.format(chain=False))
    return f"Traceback (most recent call last):\n{''.join(_lines(entries))}{end}" if entries else end


def _entries(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _lines(entries: deque[TracebackType] | tuple[()]) -> Iterator[str]:
    last, count = None, 0
    for entry in entries:
        code = entry.tb_frame.f_code
        place = code.co_filename, entry.tb_lineno, code.co_name
        if place != last:
            yield _repeated(count)
            last, count = place, 0
        count += 1
        if count <= REPEATED_SHOWN_MAX:
            yield _text_of(entry, code)
    yield _repeated(count)


def _repeated(count: int) -> str:
    more = count - REPEATED_SHOWN_MAX
    return f"  [Previous line repeated {more} more time{'s' if more > 1 else ''}]\n" if more > 0 else ""


def _text_of(entry: TracebackType, code: CodeType) -> str:
    key = id(code), entry.tb_lasti
    kept = _texts.get(key)
    if kept is None:
        if len(_texts) >= PLACES_KEPT_MAX:
            _texts.clear()
        alone = TracebackType(None, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
        _texts[key] = kept = code, "".join(traceback.format_tb(alone))
    return kept[1]
