"""``keepstep tasks`` and ``complete``: what runs wait for from people, and answering it."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from keepstep.journal import RunClosed
from keepstep.runtime.callback import parse_token
from keepstep.runtime.data import parse_json
from keepstep.runtime.data.schema import shown
from keepstep.runtime.human_task import HumanTask

from .command import EXIT_FAILED, complain
from .database import client, database_option, json_option, run
from .table import clock_time, print_json, print_table

FORM_DEPTH_MAX = 3
"""How deep a form is described in a table; ``--json`` has the whole schema."""


@click.command("tasks")
@click.argument("filter", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
@json_option
@database_option
def tasks_command(filter: str | None, limit: int, as_json: bool, url: str) -> int:
    """List the open tasks for people, oldest first. FILTER is such as: "Assignee IN ('anna', 'ben')"."""
    return run(_tasks(filter, limit, as_json, url))


async def _tasks(filter: str | None, limit: int, as_json: bool, url: str) -> None:
    async with client(url) as engine:
        found = [task async for task in engine.human_tasks(filter, limit + 1)]
    tasks = found[:limit]
    if as_json:
        print_json([{**msgspec.to_builtins(task), "run_id": parse_token(task.token)[0]} for task in tasks])
    else:
        print_table(("task", "assignee", "due", "answer", "token"), [_row(task) for task in tasks])
    if len(found) > limit:
        click.echo(f"the oldest {limit} tasks; --limit shows more", err=True)


def _row(task: HumanTask) -> tuple[str, ...]:
    due = clock_time(task.due) if task.due else ""
    return task.title, task.assignee or "", due, _form(task.form), task.token


def _form(schema: dict[str, Any]) -> str:
    """What to answer, in brief: ``string``, ``{ok: boolean, note?: string}``. ``?`` marks what may be left out."""
    return _brief(schema, schema.get("$defs", {}), depth=0)


def _brief(schema: dict[str, Any], definitions: dict[str, Any], depth: int) -> str:
    if "$ref" in schema:
        schema = definitions.get(schema["$ref"].removeprefix("#/$defs/"), {})
    if "enum" in schema:
        return " | ".join(map(shown, schema["enum"]))
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives and depth < FORM_DEPTH_MAX:
        return " | ".join(_brief(each, definitions, depth + 1) for each in alternatives)
    if "properties" in schema and depth < FORM_DEPTH_MAX:
        required = schema.get("required", ())
        members = [
            f"{name}{'' if name in required else '?'}: {_brief(part, definitions, depth + 1)}"
            for name, part in schema["properties"].items()
        ]
        return "{" + ", ".join(members) + "}"
    if isinstance(schema.get("items"), dict) and depth < FORM_DEPTH_MAX:
        return f"[{_brief(schema['items'], definitions, depth + 1)}]"
    kind = schema.get("type", "anything")
    return str(kind) if isinstance(kind, str) else " | ".join(kind)


@click.command("complete")
@click.argument("token")
@click.argument("value", required=False, metavar="[JSON]")
@database_option
def complete_command(token: str, value: str | None, url: str) -> int:
    """Complete a task for a person, or a callback."""
    return run(_complete(token, None if value is None else parse_json(value, "the answer"), url))


async def _complete(token: str, value: object, url: str) -> int:
    async with client(url) as engine:
        try:
            await engine.complete_callback(token, value)
        except RunClosed as error:
            complain(str(error))
            return EXIT_FAILED
        click.echo("completed")
        return 0
