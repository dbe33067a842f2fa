"""Table: what was tried and lost, as Markdown, put into a page between two marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .batch import Result

BEGIN, END = "<!-- scoreboard: begin -->", "<!-- scoreboard: end -->"
NAMED_COUNTS_MAX = 12


def table(results: Sequence[Result], date: str, commit: str, machine: str) -> str:
    """The whole of what stands between the marks."""
    lines = [
        f"{date}, commit {commit}. {machine}.",
        "",
        "| what was tried | how often | lost | seeds | time |",
        "|---|---:|---:|---:|---:|",
        *[_row(result, commit) for result in results],
        "",
        "What there was to judge, by part:",
        "",
        *[line for each in results if (line := _counts(each))],
    ]
    return "\n".join(lines)


def _row(result: Result, commit: str) -> str:
    part = result.part
    lost = f"**{result.lost}**" if result.lost else "0"
    if result.broken:
        lost = f"**{result.lost}, and did not end as it should**"
    seeds = ", ".join(f"{first}–{last}" for first, last in result.seeds) or "none drawn"
    tried = f"{result.tried:,} {part.unit}"
    others = sorted(result.commits - {commit})
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
    before, mark, rest = page.read_text().partition(BEGIN)
    _, other, after = rest.partition(END)
    if not mark or not other:
        raise ValueError(f"{page} has no lines {BEGIN} and {END} to put the table between")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
