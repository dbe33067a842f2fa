"""Report: what was measured, beside the floors, as a page of the documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

HEAD = """# Load: what a server bears

`make load` measures it, and writes this page. A `keepstep server` has one core, and whoever asks has the others; the
database has {runs:,} runs. What a core does in a second is told of the server's processor time, its kernel's work for
it included, so that other work on the machine does not count; of PostgreSQL, without what the database server takes.
"""

MEANING = """
*The same page* is what all pages ask that are open when something changes: the first hundred runs. Those who ask for
the same at the same time share a reading that was begun after they asked. *Each another* are pages that nobody shares.
A watcher is *told* when it has read of a run that another process has started; that is counted from when that process
knew of its commit.
"""


class Line(NamedTuple):
    """One figure. ``floor``: what it must reach, or stay below where ``is_most``; None for a figure beside others."""

    what: str
    unit: str
    value: float
    floor: float | None = None
    is_most: bool = False

    @property
    def holds(self) -> bool:
        if self.floor is None:
            return True
        return self.value <= self.floor if self.is_most else self.value >= self.floor


def page(runs: int, facts: Mapping[str, str], stores: Mapping[str, Sequence[Line]]) -> str:
    """The whole document."""
    parts = [HEAD.format(runs=runs), *(f"\n## {store}\n\n{table(lines)}\n" for store, lines in stores.items()), MEANING]
    said = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return "".join([*parts, f"\n| measured | |\n|---|---|\n{said}\n"])


def table(lines: Sequence[Line]) -> str:
    """In Markdown."""
    rows = ["| | unit | measured | floor | |", "|---|---|---|---|---|", *map(_row, lines)]
    return "\n".join(rows)


def _row(line: Line) -> str:
    floor = "" if line.floor is None else f"{'≤' if line.is_most else '≥'} {_said(line.floor)}"
    verdict = "" if line.floor is None else "holds" if line.holds else "falls short"
    return f"| {line.what} | {line.unit} | {_said(line.value)} | {floor} | {verdict} |"


def _said(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
