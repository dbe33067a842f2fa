"""The workflow under test: it collects notes, each a signal, and returns them in the order of their arrival.

``plain`` does nothing else. ``stepped`` runs a step after each note, so that messages arrive while it is busy.
``careful`` takes a cancel as a reason to tidy up and to return what it has; a second cancel must not disturb it.
"""

from __future__ import annotations

import asyncio

import keepstep
from keepstep import step, workflow

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
