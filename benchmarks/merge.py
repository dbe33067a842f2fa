"""Merge: rows that were measured alone go into ``docs/benchmarks.md``, and each says of which commit and day it is.

The other rows stay as they are: they are of the commit at the head of the page, and were measured together.
"""

from __future__ import annotations

from collections.abc import Iterable

from .report import Part, markdown_line, notes
from .row import Results


class UnlikePage(Exception):
    """The page was written for other columns."""


def merge(page: str, results: Results, parts: list[Part], commit: str, day: str) -> str:
    """The page with what was measured in place of the rows and notes of that, or where such rows belong."""
    lines = page.splitlines()
    for part in parts:
        if measured := [(*line[:-1], f"{line[-1]} (alone, {commit}, {day})".strip()) for line in part.lines(results)]:
            _merge_table(lines, part, measured)
    _merge_notes(lines, notes(results))
    return "\n".join(lines) + "\n"


def _merge_table(lines: list[str], part: Part, measured: list[tuple[str, ...]]) -> None:
    begin = lines.index(f"## {part.title}") + 2
    if begin >= len(lines) or lines[begin] != markdown_line(part.headings()):
        raise UnlikePage(f"the table for {part.title} in the page has other columns; write the page anew: make bench")
    end = next((n for n in range(begin, len(lines)) if not lines[n].startswith("|")), len(lines))
    there = {_key(line): line for line in lines[begin + 2 : end]}
    there |= {_key(line): line for line in map(markdown_line, measured)}
    order = {(row.workload, row.text.format(scale=part.scale)): n for n, row in enumerate(part.rows)}
    lines[begin + 2 : end] = sorted(there.values(), key=lambda line: order.get(_key(line), len(order)))


def _key(line: str) -> tuple[str, str]:
    """Workload and text of a row."""
    workload, text, *_ = line.removeprefix("| ").split(" | ")
    return workload, text


def _merge_notes(lines: list[str], new: Iterable[str]) -> None:
    """Notes of the same workload and system give way."""
    said = list(new)
    about = {each.partition(":")[0] for each in said}
    kept = [line for line in lines if not (line.startswith("- ") and line[2:].partition(":")[0] in about)]
    heading = kept.index("## What the workloads are")
    at = next((n for n in range(heading, 0, -1) if kept[n - 1].startswith(("- ", "|"))), heading)
    gap = [] if kept[at - 1].startswith("- ") or not said else [""]
    lines[:] = [*kept[:at], *gap, *(f"- {each}" for each in said), *kept[at:]]
