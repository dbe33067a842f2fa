"""``keepstep start WORKFLOW``: start a run by name."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from keepstep.client.engine import Engine
from keepstep.client.handle import RunHandle
from keepstep.journal import AlreadyStarted, Definition, InvalidInput
from keepstep.runtime.data import parse_json, parse_json_inputs
from keepstep.runtime.errors import Cancelled, TimedOut, WorkflowFailed

from .command import EXIT_FAILED, complain
from .database import client, database_option, run
from .table import print_json


@click.command("start")
@click.argument("workflow")
@click.option("--input", "inputs", multiple=True, metavar="JSON", help="One for each argument, in order.")
@click.option("--id", "id", help="The run's id; starting it again with the same input attaches to it.")
@click.option("--queue", help="The queue; by default the workflow's own.")
@click.option("--wait", is_flag=True, help="Wait for the result and print it; exit code 1 if there is none.")
@database_option
def start_command(
    workflow: str, inputs: tuple[str, ...], id: str | None, queue: str | None, wait: bool, url: str
) -> int:
    """Start WORKFLOW, by name, and print the run's id."""
    return run(_start(workflow, inputs, id, queue, wait, url))


async def _start(
    workflow: str, inputs: tuple[str, ...], id: str | None, queue: str | None, wait: bool, url: str
) -> int:
    async with client(url, create=True) as engine:
        published = await _definition(engine, workflow)
        if published is None:
            complain("nobody has published workflows in this database yet, so name and input are not checked")
            arguments = [parse_json(text, f"input {n}") for n, text in enumerate(inputs, 1)]
        else:
            arguments = parse_json_inputs(msgspec.json.decode(published.schema), list(inputs))
            queue = queue or published.queue
        try:
            handle: RunHandle[Any] = await engine.start(workflow, *arguments, id=id, queue=queue)
        except AlreadyStarted as error:
            complain(str(error))
            return EXIT_FAILED
        click.echo(handle.id)
        if not wait:
            return 0
        try:
            print_json(await handle.result())
        except (WorkflowFailed, Cancelled, TimedOut) as error:
            complain(str(error))
            return EXIT_FAILED
        return 0


async def _definition(engine: Engine, workflow: str) -> Definition | None:
    """The published definition; None if nothing is published. Raises ``InvalidInput`` for an unknown name."""
    definitions = [each for each in await engine.journal.list_definitions(engine.namespace) if each.kind == "workflow"]
    for each in definitions:
        if each.name == workflow:
            return each
    if definitions:
        known = ", ".join(sorted(each.name for each in definitions))
        raise InvalidInput(f"no worker has published a workflow {workflow!r}; known are: {known}")
    return None
