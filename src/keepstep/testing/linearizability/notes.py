"""The workflows under test: they collect notes, each a signal, and return them in the order of their arrival.

``plain`` does nothing else. ``stepped`` runs a step after each note, so that messages arrive while it is busy.
``careful`` takes a cancel as a reason to tidy up and to return what it has; a second cancel must not disturb it.
``asked`` is a class, which takes notes by updates as well, but none that it has, and tells by a query what it has.
"""

from __future__ import annotations

import asyncio

import keepstep
from keepstep import Workflow, step, workflow

from .operation import Program

TIDYING_SECONDS = 0.3


@step
async def stamp_note(note: str) -> str:
    """Takes a while on the way to the journal and back."""
    return note


@workflow
async def keep_notes(program: Program) -> list[str]:
    """See the module's docstring."""
    notes: list[str] = []
    try:
        while len(notes) < program.size:
            notes.append(await keepstep.receive("note", str))
            if program.kind == "stepped":
                await stamp_note(notes[-1])
    except asyncio.CancelledError:
        if program.kind != "careful":
            raise
        await keepstep.sleep(TIDYING_SECONDS)
        return ["cancelled", *notes]
    return notes


@workflow
class AskedForNotes:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    async def run(self, program: Program) -> list[str]:
        await keepstep.wait_for(lambda: len(self.notes) >= program.size)
        return self.notes[: program.size]

    @keepstep.signal
    def note(self, note: str) -> None:
        self.notes.append(note)

    @keepstep.update
    def add(self, note: str) -> list[str]:
        self.notes.append(note)
        return self.notes

    @add.validator
    def check_add(self, note: str) -> None:
        if note in self.notes:
            raise ValueError(f"{note!r} is there already")

    @keepstep.query
    def seen(self) -> list[str]:
        return self.notes


def workflow_of(program: Program) -> type[AskedForNotes] | Workflow[[Program], list[str]]:
    """The workflow whose input the program is."""
    return AskedForNotes if program.kind == "asked" else keep_notes
