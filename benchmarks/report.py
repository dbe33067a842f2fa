"""The table, as text for the terminal and as Markdown for ``docs/benchmarks.md``."""

from __future__ import annotations

from pathlib import Path

from .row import ROWS, Results, Row, System
from .scale import Scale

HEADINGS = ("", "what", "unit", "Keepstep", "raw", "of raw", "DBOS", "× DBOS", "floor", "")

TEMPLATE = Path(__file__).with_suffix(".md")


def number(value: float | None) -> str:
    """As many digits as mean something."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def floor_text(row: Row) -> str:
    if row.floor is None:
        return "–"
    text = f"{'≥' if row.more_is_better else '≤'} {number(row.floor)}"
    return text if row.raw_ratio_floor is None else f"{text}, {row.raw_ratio_floor:g} of raw"


def table(results: Results, scale: Scale) -> list[tuple[str, ...]]:
    """The lines of the table: every row that was measured."""
    lines: list[tuple[str, ...]] = []
    for row in ROWS:
        ours, raw, dbos = (results.median(system, row.key) for system in System)
        if ours is None and dbos is None:
            continue
        has_floor = ours is not None and (row.floor is not None or row.raw_ratio_floor is not None)
        verdict = "" if not has_floor else "falls short" if results.shortfall(row) else "holds"
        of_raw, of_dbos = results.ratio(row, System.RAW), results.ratio(row, System.DBOS)
        lines.append(
            (row.workload, row.text.format(scale=scale), row.unit, number(ours), number(raw), number(of_raw),
             number(dbos), number(of_dbos), floor_text(row), verdict)
        )  # fmt: skip
    return lines


def notes(results: Results) -> list[str]:
    """What must be said beside single figures."""
    return [f"{key.split('.')[0].upper()}, {system}: {text}" for (system, key), text in results.notes.items()]


def plain_text(results: Results, scale: Scale) -> str:
    """For the terminal: columns, aligned."""
    lines = [HEADINGS, *table(results, scale)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    left = {0, 1, 2, 9}
    rendered = [
        "  ".join(cell.ljust(width) if n in left else cell.rjust(width) for n, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    ]
    return "\n".join([rendered[0], "-" * len(rendered[0]), *rendered[1:], *(f"  {each}" for each in notes(results))])


def markdown(results: Results, scale: Scale, facts: dict[str, str]) -> str:
    """The whole of ``docs/benchmarks.md``."""
    lines = [f"| {' | '.join(line)} |" for line in (HEADINGS, ("---",) * len(HEADINGS), *table(results, scale))]
    return TEMPLATE.read_text().format(
        scale=scale,
        facts="| | |\n|---|---|\n" + "\n".join(f"| {name} | {fact} |" for name, fact in facts.items()),
        table="\n".join(lines),
        notes="\n".join(f"- {each}" for each in notes(results)),
    )
