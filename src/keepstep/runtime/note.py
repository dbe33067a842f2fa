"""Note: what workflow code says to people about one moment of a run, kept as an event of its history.

A note decides nothing. Code that makes other notes than the history has, or more, or none, fits it as well: notes have
no keys, are not asked for, and block nothing. What they must not do is be recorded twice. A note is known by the turn
in which it was made (the seq of the event being delivered) and its number among the notes of that turn; a replay counts
them again, and records those alone that a crash has swallowed before they were durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keepstep.journal import Event, InvalidInput

from . import history
from .call import required
from .data import plain_text
from .loop import task_of

if TYPE_CHECKING:
    from .execution import Execution

NOTE_CHARS_MAX = 10_000

TURN_NOTES_MAX = 1000
"""Notes of one turn: a loop that notes and never waits would fill the history."""


class Notes:
    """Those of one run."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._recorded: dict[int, int] = {}
        """How many the history has, by the seq of their turn."""
        self._turn = self._number = 0
        """The turn that has noted something last, and how many of its notes were made by now."""
        self.new: list[history.NoteAdded] = []
        """To be recorded."""

    def read(self, events: Sequence[Event]) -> None:
        """Look for the notes of a history that is about to be replayed."""
        for event in events:
            if event.type == history.NOTE_ADDED:
                turn = history.unpack(event.type, event.data).asked_seq
                self._recorded[turn] = self._recorded.get(turn, 0) + 1

    def add(self, text: str) -> None:
        """Code has made a note. Raises ``InvalidInput`` for too many."""
        turn = self.execution.seen_seq
        if turn != self._turn:
            self._turn, self._number = turn, 0
        if self._number >= TURN_NOTES_MAX:
            raise InvalidInput(f"a run may make {TURN_NOTES_MAX} notes before it waits for something; say more in each")
        self._number += 1
        if self._number > self._recorded.get(turn, 0):
            self.new.append(history.NoteAdded(text, turn))

    def take_new(self) -> list[history.NoteAdded]:
        """The notes to be recorded, in the order in which they were made."""
        new, self.new = self.new, []
        return new


def note(text: str) -> None:
    """Add a note for people to the run's history: ``keepstep history`` shows it between the events around it.

    It is recorded once, however often the code is replayed, and changes nothing for the run: notes may be added to,
    changed in and removed from code that open runs go on with. For what a run is doing just now, see ``set_status``.

    Raises ``InvalidInput`` for what is no text, is over 10,000 characters, or is noted in a predicate of ``wait_for``,
    a query or a validator, which only look at the run.
    """
    execution = required("note")
    if task_of(execution.loop) is None:
        raise InvalidInput("note() belongs into a workflow or a handler, not into a predicate or a callback")
    if len(plain_text(text, "a note")) > NOTE_CHARS_MAX:
        raise InvalidInput(f"a note has at most {NOTE_CHARS_MAX} characters, not {len(text)}; return more from a step")
    execution.notes.add(text)
