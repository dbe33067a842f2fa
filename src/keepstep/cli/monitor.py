"""Monitor: vitals as they stand in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .colour import colour_of
from .table import span
from .vitals import RunLine, Vitals, WorkerLoad

BARS = " ▁▂▃▄▅▆▇█"
QUEUES_SHOWN = 8
WORKERS_SHOWN = 8
PROBLEM, QUIET, TITLE = "red", "dim", "bold"


def draw(vitals: Vitals) -> RenderableType:
    """All of it, the most urgent first; what a terminal has no room for is cut off below."""
    parts: list[RenderableType] = [_head(vitals), _open(vitals), Text()]
    parts += [_queues(vitals), _workers(vitals.workers)]
    if vitals.failed:
        parts.append(_runs("failed within a day", vitals.failed, vitals.now))
    parts.append(_runs("newest runs", vitals.newest, vitals.now))
    return Group(*parts)


def draw_trouble(url: str, why: str) -> RenderableType:
    """In place of what cannot be told."""
    return Group(Text(f"keepstep top  {url}", TITLE), Text(f"cannot be asked now: {why}", PROBLEM))


def _head(vitals: Vitals) -> Text:
    at = vitals.now.astimezone().strftime("%H:%M:%S")
    where = "" if vitals.namespace == "default" else f"  namespace {vitals.namespace}"
    text = Text.assemble((f"keepstep top  {vitals.url}{where}", TITLE), (f"  {at}  q ends it\n", QUIET))
    about = "≈" if vitals.is_estimated else ""
    text.append(f"started {about}{_rate(vitals.started_rate):>8}/s  {_curve(vitals.started)}\n")
    text.append(f"ended   {about}{_rate(sum(vitals.ended_rates.values())):>8}/s  {_curve(vitals.ended)}  ")
    for status, rate in vitals.ended_rates.items():
        text.append(f"{status} {_rate(rate)}/s  ", colour_of(status))
    return text


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _curve(points: Sequence[float]) -> str:
    """The last minute, as high as its highest stretch."""
    highest = max(points, default=0.0)
    if not highest:
        return BARS[0] * len(points)
    return "".join(BARS[-(-int(each * 1000) * (len(BARS) - 1) // max(int(highest * 1000), 1))] for each in points)


def _open(vitals: Vitals) -> Text:
    text = Text(f"open    {sum(vitals.open_runs.values()):>8,}  ")
    for condition, count in sorted(vitals.open_runs.items()):
        text.append(f"  {condition} {count:,}", colour_of(condition))
    return text


def _table(*headings: str) -> Table:
    return Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False, header_style=TITLE, show_edge=False)


def _queues(vitals: Vitals) -> RenderableType:
    """Those on which the most waits first."""
    table = _table("queue", "waiting", "due", "at work", "workers", "oldest", "")
    ordered = sorted(vitals.queues, key=lambda each: (-each.waiting - each.due, each.name))
    for each in ordered[:QUEUES_SHOWN]:
        waits = each.waiting + each.due
        wrong = "nobody serves it" if waits and not each.workers else "paused" if each.is_paused else ""
        held = f"{each.held:,}" if each.is_kept else ""
        oldest = _age(each.oldest_since, vitals.now)
        cells = (each.name, f"{each.waiting:,}", f"{each.due:,}", held, f"{each.workers}", oldest)
        table.add_row(*cells, Text(wrong, PROBLEM))
    return Group(table, _rest(len(ordered) - QUEUES_SHOWN, "queues"))


def _workers(workers: Sequence[WorkerLoad]) -> RenderableType:
    if not workers:
        return Text("no worker is there: keepstep worker MODULE starts one\n", PROBLEM)
    table = _table("worker", "host", "module", "queues", "runs", "steps", "")
    ordered = sorted(workers, key=lambda each: (not each.is_dead, -each.runs - each.tasks, each.pid))
    for each in ordered[:WORKERS_SHOWN]:
        gone = Text("gone" if each.is_dead else "", PROBLEM)
        queues = ", ".join(each.queues)
        table.add_row(f"{each.pid}", each.host, each.label, queues, f"{each.runs:,}", f"{each.tasks:,}", gone)
    return Group(table, _rest(len(ordered) - WORKERS_SHOWN, "workers"))


def _rest(count: int, noun: str) -> Text:
    return Text(f"and {count} more {noun}\n" if count > 0 else "", QUIET)


def _runs(title: str, runs: Sequence[RunLine], now: datetime) -> RenderableType:
    table = _table(title, "workflow", "state", "started", "ended", "")
    for each in runs:
        state = each.condition or each.status
        says = Text(each.says, overflow="ellipsis", no_wrap=True)
        ages = (_age(each.started_at, now), _age(each.closed_at, now))
        table.add_row(each.id, each.type, Text(state, colour_of(state)), *ages, says)
    return Group(table, Text())


def _age(moment: datetime | None, now: datetime) -> str:
    return "" if moment is None else f"{span((now - moment).total_seconds())} ago"
