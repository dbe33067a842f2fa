"""Stream: values that a run says on its way, kept in its history for whoever reads along.

A stream has a name within its run, and no type of its own. What is said is an event, so that it is as durable, as
sealed and as long-lived as the history, and its place there is its place in the stream; whoever reads it has a
*position* (seq and number within the event), from which another process goes on.

For the run a stream decides nothing, as a note does not: what code says is known by the turn in which it was said and
by its number among what was said in that turn to that stream. A replay counts them again, and records those alone that
a crash has swallowed before they were durable. What a step says is tagged by its key and attempt instead, and is never
counted: an attempt that is repeated says it again, and readers are told which attempt has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from keepstep.journal import Event, InvalidInput

from . import history
from .data import encode_value, within_limit

if TYPE_CHECKING:
    from .execution import Execution

VALUE_BYTES_MAX = 1024 * 1024
"""One value of a stream. Larger ones are results of steps, or kept elsewhere and referred to."""

BATCH_VALUES_MAX = 1000
"""Values of one event. It is part of what a position means, and never changes."""

BATCH_BYTES_MAX = 1024 * 1024
"""So many bytes do the values of one event have, and so many one value."""

TURN_VALUES_MAX = 10_000
"""Of one turn and stream: a loop that speaks and never waits would fill the history."""


class Word(msgspec.Struct, frozen=True, gc=False):
    """One value on its way into a stream, or (without a payload) the end of the stream."""

    name: str
    payload: bytes | None
    turn: int = 0
    """Seq of the event during whose delivery code has said it; 0 for what a step says."""


class Streams:
    """What the code of one run has said."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._recorded: dict[tuple[int, str], int] = {}
        """How many words the history has, by the seq of their turn and the stream."""
        self._turn = 0
        self._said: dict[str, int] = {}
        """How many were said by now in the turn that has said something last."""
        self.new: list[Word] = []
        """To be recorded."""

    def read(self, events: Sequence[Event]) -> None:
        """Look for what a history has that is about to be replayed."""
        for event in events:
            if event.type == history.STREAM_WRITTEN:
                data = history.unpack(event.type, event.data)
                if not data.step:
                    place = data.asked_seq, data.name
                    self._recorded[place] = self._recorded.get(place, 0) + len(data.payloads) + data.is_end

    def add(self, name: str, payload: bytes | None) -> None:
        """Code has said something. Raises ``InvalidInput`` for too much."""
        turn = self.execution.seen_seq
        if turn != self._turn:
            self._turn = turn
            self._said.clear()
        said = self._said[name] = self._said.get(name, 0) + 1
        if said > TURN_VALUES_MAX:
            raise InvalidInput(
                f"a run may write {TURN_VALUES_MAX:,} values to stream {name!r} before it waits for something; "
                "say more in each, or write them in a step"
            )
        if said > self._recorded.get((turn, name), 0):
            self.new.append(Word(name, payload, turn))

    def take_new(self) -> list[history.StreamWritten]:
        """What is to be recorded, in the order in which it was said."""
        new, self.new = self.new, []
        return list(in_batches(new))


def in_batches(words: Iterable[Word], step: str = "", attempt: int = 0) -> Iterator[history.StreamWritten]:
    """The words as they are recorded: as few events as keep them in order and within the bounds."""
    batch: list[bytes] = []
    first: Word | None = None
    size = 0
    for word in words:
        is_full = len(batch) >= BATCH_VALUES_MAX or size + len(word.payload or b"") > BATCH_BYTES_MAX
        if first is not None and (is_full or word.name != first.name or word.turn != first.turn):
            yield history.StreamWritten(first.name, tuple(batch), first.turn, step, attempt)
            batch, first, size = [], None, 0
        first = first or word
        if word.payload is None:
            yield history.StreamWritten(word.name, tuple(batch), word.turn, step, attempt, True)
            batch, first, size = [], None, 0
        else:
            batch.append(word.payload)
            size += len(word.payload)
    if first is not None:
        yield history.StreamWritten(first.name, tuple(batch), first.turn, step, attempt)


def sealed_word(name: str, value: object) -> bytes:
    """A value as it goes into a stream. Raises ``TooLarge``, ``InvalidInput``."""
    return within_limit(encode_value(value), "a value of stream", name, VALUE_BYTES_MAX)


def position_of(seq: int, number: int) -> int:
    """Where the ``number``-th value of an event stands."""
    return seq * BATCH_VALUES_MAX + number


def event_before(position: int) -> int:
    """The seq behind which everything is that stands after a position."""
    return max(position // BATCH_VALUES_MAX - 1, 0)
