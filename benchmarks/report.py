"""The table, as text for the terminal and as Markdown for ``docs/benchmarks.md``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .row import ROW_OF, Results, Row, System
from .scale import Scale

NAMES = {System.DBOS: "DBOS", System.ABSURD: "Absurd"}

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


@dataclass(frozen=True)
class Part:
    """One table: what was measured on one store, at which scale, beside whom."""

    title: str
    rows: tuple[Row, ...]
    peers: tuple[System, ...]
    scale: Scale

    def headings(self) -> tuple[str, ...]:
        peers = [heading for peer in self.peers for heading in (NAMES[peer], f"× {NAMES[peer]}")]
        return ("", "what", "unit", "Keepstep", "raw", "of raw", *peers, "floor", "")

    def lines(self, results: Results) -> list[tuple[str, ...]]:
        """Every row that was measured."""
        measured = {key for _, key in results.values}
        return [self._line(results, row) for row in self.rows if row.key in measured]

    def _line(self, results: Results, row: Row) -> tuple[str, ...]:
        ours, raw = results.median(System.KEEPSTEP, row.key), results.median(System.RAW, row.key)
        has_floor = ours is not None and (row.floor is not None or row.raw_ratio_floor is not None)
        verdict = "" if not has_floor else "falls short" if results.shortfall(row) else "holds"
        peers = [
            number(value) for peer in self.peers for value in (results.median(peer, row.key), results.ratio(row, peer))
        ]
        return (
            row.workload, row.text.format(scale=self.scale), row.unit, number(ours), number(raw),
            number(results.ratio(row, System.RAW)), *peers, floor_text(row), verdict,
        )  # fmt: skip


def notes(results: Results) -> list[str]:
    """What must be said beside single figures."""
    said = [
        f"{ROW_OF[key].workload}{' on PostgreSQL' if key.startswith('pg.') else ''}, {system}: {text}"
        for (system, key), text in results.notes.items()
    ]
    return list(dict.fromkeys(said))  # several rows may have one note


def plain_text(results: Results, parts: list[Part]) -> str:
    """For the terminal: columns, aligned."""
    tables = [f"{part.title}\n{_aligned([part.headings(), *part.lines(results)])}" for part in parts]
    return "\n\n".join([*tables, "\n".join(f"  {each}" for each in notes(results))])


def _aligned(lines: list[tuple[str, ...]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    left = {0, 1, 2, len(widths) - 1}
    rendered = [
        "  ".join(cell.ljust(width) if n in left else cell.rjust(width) for n, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    ]
    return "\n".join([rendered[0], "-" * len(rendered[0]), *rendered[1:]])


def markdown(results: Results, parts: list[Part], facts: dict[str, str]) -> str:
    """The whole of ``docs/benchmarks.md``."""
    scales = {part.title.lower(): part.scale for part in parts}
    return TEMPLATE.read_text().format(
        sqlite=scales["sqlite"],
        postgresql=scales["postgresql"],
        facts="| | |\n|---|---|\n" + "\n".join(f"| {name} | {fact} |" for name, fact in facts.items()),
        tables="\n\n".join(f"## {part.title}\n\n{_markdown_table(part, results)}" for part in parts),
        notes="\n".join(f"- {each}" for each in notes(results)),
    )


def _markdown_table(part: Part, results: Results) -> str:
    headings = part.headings()
    return "\n".join(map(markdown_line, (headings, ("---",) * len(headings), *part.lines(results))))


def markdown_line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
