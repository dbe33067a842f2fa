"""``keepstep list``, ``show`` and ``history``: looking at runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from keepstep.archive import encode_recording
from keepstep.client.engine import Engine
from keepstep.client.info import HistoryEvent, RunInfo, history_event, moment
from keepstep.client.paging import RUNS_MAX
from keepstep.client.progress import Surroundings, progress
from keepstep.journal import Event, NotFound
from keepstep.runtime import history
from keepstep.worker.words import Wait

from .colour import Coloured, state_of
from .completion import run_argument
from .database import client, database_option, existing, json_option, run
from .file import write_whole
from .schedules import print_history
from .table import ago, clock_time, print_json, print_table

_TYPE_CHARS = max(map(len, history.DATA))


@click.command("list")
@click.argument("filter", required=False)
@click.option("--limit", type=click.IntRange(1, RUNS_MAX), default=50, show_default=True)
@click.option("--cursor", help="Go on where a page of this FILTER has ended, which says how.")
@click.option("--count-by", metavar="FIELD", help="Count them by the values of a field, instead of listing them.")
@json_option
@database_option
def list_command(
    filter: str | None, limit: int, cursor: str | None, count_by: str | None, as_json: bool, url: str
) -> int:
    """List runs, the newest first.

    FILTER is such as: "WorkflowType = 'fulfil_order' AND Status = 'running' AND customer = 'c7' ORDER BY StartTime".

    It compares (=, !=, <, <=, >, >=, IN, BETWEEN, STARTS_WITH, IS NULL, with NOT) what every run has (WorkflowId,
    WorkflowType, RunId, Status, Condition, StartTime, CloseTime, ExecutionDuration, Queue, Language, HistoryLength,
    ParentWorkflowId, ParentRunId) and attributes, which `keepstep attributes list` names. Text and times stand in
    quotes; NOW - '2h' is two hours ago. See docs/searching.md.
    """
    if count_by is not None:
        return run(_count(count_by, filter, as_json, url))
    return run(_list(filter, limit, cursor, as_json, url))


async def _count(field: str, filter: str | None, as_json: bool, url: str) -> None:
    async with client(url) as engine:
        counted = await engine.count_by(field, filter)
        if as_json:
            print_json([{"value": value, "count": count} for value, count in counted.items()])
        else:
            shown = [("(none)" if value is None else str(value), str(count)) for value, count in counted.items()]
            print_table((field, "runs"), shown)


async def _list(filter: str | None, limit: int, cursor: str | None, as_json: bool, url: str) -> None:
    async with client(url) as engine:
        infos, following = await engine.page(filter, cursor, limit)
        if as_json:
            print_json([_as_data(info) for info in infos])
        else:
            _print_runs(infos)
        if following is not None and (await engine.page(filter, following, 1)).runs:
            total = await engine.count(filter)
            click.echo(f"{len(infos)} of {total} runs; the next ones: --cursor {following}", err=True)


def _print_runs(infos: list[RunInfo]) -> None:
    """A table; versions are a column of it where any run stays with one."""
    columns = dict(_COLUMNS)
    if not any(info.version for info in infos):
        del columns["version"]
    print_table(tuple(columns), [tuple(cell(info) for cell in columns.values()) for info in infos])


_COLUMNS: dict[str, Callable[[RunInfo], str | Coloured]] = {
    "id": lambda info: info.id,
    "workflow": lambda info: info.type,
    "version": lambda info: info.version or "newest",
    "status": state_of,
    "started": lambda info: ago(info.started_at),
    "closed": lambda info: ago(info.closed_at),
    "": lambda info: info.error or info.status_text,
}


def _as_data(info: RunInfo) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(info, builtin_types=())
    del data["detail"]
    data["waiting_for"] = [_wait_as_data(each) for each in info.waiting_for]
    return data


def _wait_as_data(wait: Wait) -> dict[str, Any]:
    """All fields, always; times in ISO format, or null."""
    data = {name: getattr(wait, name) for name in wait.__struct_fields__}
    return data | {name: moment(data[name]) if data[name] else None for name in ("since", "until")}


@click.command("show")
@run_argument()
@json_option
@database_option
def show_command(id: str, as_json: bool, url: str) -> int:
    """Say in words what a run is doing or waiting for, since when, what failed, and what happens next."""
    return run(_show(id, as_json, url))


async def _show(id: str, as_json: bool, url: str) -> None:
    async with client(url) as engine:
        handle = await existing(engine, id)
        info = await handle.describe()
        around = await Surroundings.of(engine.journal, info)
        said = progress(info, around)
        if as_json:
            print_json({**_as_data(info), "forked_from": await _origin(engine, info), "progress": said})
            return
        state = state_of(info)
        click.echo(f"{info.id}  {info.type}  {click.style(state.text, fg=state.colour)}")
        click.echo(f"  run id    {info.run_id}")
        if version := await _version(engine, info):
            click.echo(f"  version   {version}")
        click.echo(f"  started   {clock_time(info.started_at)} ({ago(info.started_at)})")
        if info.closed_at is not None:
            click.echo(f"  closed    {clock_time(info.closed_at)} ({ago(info.closed_at)})")
        if info.parent_run_id:
            click.echo(f"  parent    {info.parent_run_id}")
        if (origin := await _origin(engine, info)) is not None:
            click.echo(f"  forked    from {origin['id']} at seq {origin['at']} (run {origin['run_id']})")
        click.echo(f"  history   {info.events} event{'' if info.events == 1 else 's'}")
        for name, value in info.attributes.items():
            click.echo(f"  {name} = {value!r}")
        if info.status_text:
            click.echo(f"  says      {info.status_text}")
        click.echo()
        for line in said:
            click.echo(line)
        for line in await _values(engine, info):
            click.echo(line)


async def _version(engine: Engine, info: RunInfo) -> str:
    if info.version:
        return f"{info.version}; it stays with it"
    [first] = await engine.journal.read_events(info.run_id, 0, 1)
    started = history.known_of(first.type, first.data) if first.type == history.WORKFLOW_STARTED else None
    was = "" if started is None else started.version
    return f"the newest; {was} when it was started" if was else ""


async def _origin(engine: Engine, info: RunInfo) -> dict[str, Any] | None:
    """Where the run was forked, if it was."""
    [first] = await engine.journal.read_events(info.run_id, 0, 1)
    started = history.known_of(first.type, first.data) if first.type == history.WORKFLOW_STARTED else None
    at = 0 if started is None else started.forked_at
    if not at or not (found := await engine.journal.read_events(info.run_id, at, 1)):
        return None
    forked = history.known_of(found[0].type, found[0].data)
    return forked and {"id": forked.workflow_id, "run_id": forked.run_id, "at": forked.at, "replaced": forked.replaced}


async def _values(engine: Engine, info: RunInfo) -> list[str]:
    """What the run was given, and what came out of it."""
    [first] = await engine.journal.read_events(info.run_id, 0, 1)
    [last] = await engine.journal.read_events(info.run_id, info.events - 1, 1)
    said = []
    if first.type == history.WORKFLOW_STARTED:
        said.append(f"Input: {_payload(first)}")
    if last.type == history.WORKFLOW_COMPLETED:
        said.append(f"Result: {_payload(last)}")
    if last.type == history.WORKFLOW_FAILED:
        said += _traceback(history_event(last).data.get("failure"))
    return said


def _payload(event: Event) -> str:
    data = history_event(event).data
    return str(data["sealed"]) if "sealed" in data else _plain(data.get("payload"))


def _traceback(failure: Any) -> list[str]:
    """An error and its causes, the last one first."""
    said = []
    while isinstance(failure, dict):
        said.append(failure.get("traceback") or f"{failure['type']}: {failure['message']}")
        failure = failure.get("cause")
    return said


@click.command("history")
@run_argument()
@click.option(
    "--export",
    "export_to",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write it to a file that tests can replay, see docs/testing.md. It holds the run's data in plain text.",
)
@json_option
@database_option
def history_command(id: str, export_to: Path | None, as_json: bool, url: str) -> int:
    """Print a run's history, event by event; of a schedule, what was done to it and what it did."""
    return run(_history(id, as_json, url) if export_to is None else _export(id, export_to, url))


async def _export(id: str, file: Path, url: str) -> None:
    async with client(url) as engine:
        info = await (await existing(engine, id)).describe()
        loaded = await engine.journal.load(info.run_id)
    write_whole(file, encode_recording(loaded))
    click.echo(f"{len(loaded.events)} events of {id} ({loaded.run.status}) are in {file}")


async def _history(id: str, as_json: bool, url: str) -> None:
    async with client(url) as engine:
        try:
            handle = await existing(engine, id)
        except NotFound as no_run:
            try:
                await print_history(engine, id, as_json)
            except NotFound:
                raise no_run from None
            return
        if as_json:
            print_json([msgspec.to_builtins(event) async for event in handle.history()])
            return
        print_headings()
        async for event in handle.history():
            print_event(event)


def print_headings() -> None:
    """Of the columns of a history."""
    click.echo(_line("seq", "time", "event", "key", "data"))


def print_event(event: HistoryEvent) -> None:
    """A line of a history."""
    click.echo(_line(str(event.seq), clock_time(event.time), event.type, event.key or "", _shortened(event.data)))


def _line(seq: str, time: str, type: str, key: str, data: str) -> str:
    """Of fixed widths, so that a long history is printed while it is read."""
    return f"{seq:>6}  {time:19}  {type:{_TYPE_CHARS}}  {key:24}  {data}".rstrip()


def _shortened(data: dict[str, Any], chars_max: int = 300) -> str:
    text = ", ".join(f"{name}={_plain(value)}" for name, value in data.items())
    return text if len(text) <= chars_max else f"{text[:chars_max]}…"


def _plain(value: Any) -> str:
    if isinstance(value, dict) and "message" in value and "type" in value:
        return f"{value['type']}: {value['message']}"
    return msgspec.json.encode(value).decode()
