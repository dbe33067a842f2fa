"""Letters with a scan each, of a class that has changed, and the workflow that waits for a doctor's signature."""

from __future__ import annotations

from dataclasses import dataclass

import keepstep
from keepstep import step, workflow


@dataclass
class Letter:
    """Version 2: the patient had one ``name``."""

    first_name: str
    last_name: str
    scan: bytes


@keepstep.upcast(Letter, 1)
def in_two_names(data: dict[str, str]) -> dict[str, str]:
    first, _, last = data.pop("name").partition(" ")
    return {**data, "first_name": first, "last_name": last}


@dataclass
class Signed:
    by: str


@dataclass
class Rejected:
    reason: str


@step
async def file_away(letter: Letter, answer: Signed | Rejected) -> str:
    who = f"{letter.first_name} {letter.last_name}"
    if isinstance(answer, Rejected):
        return f"the letter to {who} goes back: {answer.reason}"
    return f"the letter to {who} is signed by {answer.by}, with {len(letter.scan):,} bytes of scan"


@workflow
async def post_letter(letter: Letter) -> str:
    answer = await keepstep.receive("answer", Signed | Rejected)
    return await file_away(letter, answer)
