"""How a task's form is described in a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import pytest

from keepstep.cli.people import _form
from keepstep.runtime.data.schema import schema_of


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Parcel:
    weight: float
    colour: Colour = Colour.RED


@dataclass
class Verdict:
    ok: bool
    note: str | None = None
    parcels: list[Parcel] = field(default_factory=list)
    best: Parcel | None = None


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (str, "string"),
        (Literal["yes", "no"], '"no" | "yes"'),
        (Parcel, '{weight: number, colour?: "blue" | "red"}'),
        (
            Verdict,
            '{ok: boolean, note?: string | null, parcels?: [{weight: number, colour?: "blue" | "red"}], '
            'best?: {weight: number, colour?: "blue" | "red"} | null}',
        ),
        (list[int], "[integer]"),
        (Any, "anything"),
        (None, "anything"),
    ],
)
def test_a_form_is_told_in_brief(form: Any, said: str) -> None:
    assert _form({} if form is None else schema_of(form)) == said
