"""Speaking: how workflow code and steps write to the streams of their run.

Both call the same two functions. What differs is who records the words: the run's code (``runtime.stream``), or the
voice of an attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from keepstep.journal import InvalidInput
from keepstep.runtime.call import current, required
from keepstep.runtime.data import checked_name
from keepstep.runtime.loop import task_of
from keepstep.runtime.stream import Word, sealed_word

from .attempt import current_step_info


class Written:
    """What ``write_stream`` returns: awaited in an async step, it waits until the value is durable."""

    __slots__ = ("_durable",)

    def __init__(self, durable: asyncio.Future[None] | None = None) -> None:
        self._durable = durable

    def __await__(self) -> Generator[Any, Any, None]:
        if self._durable is not None:
            yield from asyncio.shield(self._durable).__await__()


def write_stream(name: str, value: object) -> Written:
    """Add a value to a stream of this run; ``run.stream(name)`` reads it, in any process and while the run goes on.

    In a workflow it is recorded once, at its place in the history, however often the code is replayed. In a step, also
    on a queue, it is tagged by the attempt, and an attempt that is repeated says it again. In a plain ``def`` step it
    is durable when this returns; in an async step when what this returns has been awaited. All that a step has said is
    durable before its result is.

    :param name: of the stream, within the run. :param value: at most 1 MiB as JSON. See ``docs/streams.md``.

    Raises ``InvalidInput``; ``Cancelled`` in an attempt that nobody waits for any more; ``Overloaded`` in an async step
    that says much and never awaits.
    """
    return _speak("write_stream", name, sealed_word(checked_name(name, "the name of a stream"), value))


def close_stream(name: str) -> Written:
    """End a stream of this run: whoever reads it is told that nothing follows. It also ends when the run does.

    Raises as ``write_stream`` does.
    """
    return _speak("close_stream", checked_name(name, "the name of a stream"), None)


def _speak(what: str, name: str, payload: bytes | None) -> Written:
    info = None if current() is not None else current_step_info()
    if info is not None:
        return Written(info.say(Word(name, payload)))
    execution = required(f"{what}() outside of a step")
    if task_of(execution.loop) is None:
        raise InvalidInput(f"{what}() belongs into a workflow, a handler or a step, not into a predicate")
    execution.streams.add(name, payload)
    return Written()
