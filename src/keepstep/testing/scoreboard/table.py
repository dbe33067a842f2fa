"""Table: what was tried and lost, as Markdown, put into a page between two marks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from .batch import Result
from .machine import UNKNOWN
from .part import PARTS, Part

BEGIN, END = "<!-- scoreboard: begin -->", "<!-- scoreboard: end -->"
NAMED_COUNTS_MAX = 12
EARLIER = " Rows that name a commit were tried at that one, some of them earlier and on other machines."
NOT_NOTED = "a commit that was not noted"

_PART = re.compile(r"\(`(?P<name>[\w-]+)`(?P<where>, at [^)]*)?\)")
_COUNTS = re.compile(r"\* `(?P<name>[\w-]+)`: ")
_COMMIT = re.compile(r", commit (?P<commit>[^.]+)\.")


class Row(msgspec.Struct):
    """A part in a table: its row, which says the commit if that is not the table's, and what there was to judge."""

    text: str
    counts: str = ""


def read_rows(page: Path) -> dict[str, Row]:
    """The rows of a page's table by the names of their parts, each with the commit at which it was tried."""
    rows: dict[str, Row] = {}
    commit = ""
    for line in _between_marks(page)[1].splitlines():
        if (found := _COMMIT.search(line)) and not commit:
            commit = found["commit"]
        elif line.startswith("| ") and (found := _PART.search(line)):
            where = (found["where"] or f", at {commit}").replace(f"at {UNKNOWN}", f"at {NOT_NOTED}")
            rows[found["name"]] = Row(_PART.sub(f"(`{found['name']}`{where})", line, count=1))
        elif (found := _COUNTS.match(line)) and found["name"] in rows:
            rows[found["name"]].counts = line
    return rows


def table(
    results: Sequence[Result],
    date: str,
    commit: str,
    machine: str,
    kept: Mapping[str, Row] | None = None,
    parts: Sequence[Part] = PARTS,
) -> str:
    """The whole of what stands between the marks. ``kept``: rows of an earlier table, for parts without a result."""
    fresh = {result.part.name: Row(_row(result, commit), _counts(result)) for result in results}
    known = {**(kept or {}), **fresh}
    rows = [known[part.name] for part in parts if part.name in known]
    lines = [
        f"{date}, commit {commit}. {machine}.{EARLIER if any('`, at ' in row.text for row in rows) else ''}",
        "",
        "| what was tried | how often | lost | seeds | time |",
        "|---|---:|---:|---:|---:|",
        *[row.text for row in rows],
        "",
        "What there was to judge, by part:",
        "",
        *[row.counts for row in rows if row.counts],
    ]
    return "\n".join(lines)


def _row(result: Result, commit: str) -> str:
    part = result.part
    lost = f"**{result.lost}**" if result.lost else "0"
    if result.broken:
        lost = f"**{result.lost}, and did not end as it should**"
    seeds = ", ".join(f"{first}–{last}" for first, last in result.seeds) or "none drawn"
    tried = f"{result.tried:,} {part.unit}"
    others = sorted(NOT_NOTED if each == UNKNOWN else each for each in result.commits - {commit})
    where = f", at {', '.join(others)}" if others else ""
    return f"| {part.title} (`{part.name}`{where}) | {tried} | {lost} | {seeds} | {_time(result.seconds)} |"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds:.0f} s"


def _number(count: float) -> str:
    return f"{count:,.0f}" if count == int(count) else f"{count:,.2f}"


def _counts(result: Result) -> str:
    told = [f"{_number(count)} {what}" for what, count in list(result.counts.items())[:NAMED_COUNTS_MAX] if count]
    return f"* `{result.part.name}`: {', '.join(told)}" if told else ""


def write_table(page: Path, text: str) -> None:
    """Put the table into the page. Raises ``ValueError`` if the page has no place for it."""
    before, _, after = _between_marks(page)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _between_marks(page: Path) -> tuple[str, str, str]:
    """What stands before, between and behind the marks. Raises ``ValueError`` if they are not there."""
    before, mark, rest = page.read_text().partition(BEGIN)
    between, other, after = rest.partition(END)
    if not mark or not other:
        raise ValueError(f"{page} has no lines {BEGIN} and {END} to put the table between")
    return before, between, after
