"""``keepstep start WORKFLOW``: start a run by name."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from keepstep.client.engine import Engine
from keepstep.client.handle import RunHandle
from keepstep.client.progress import Surroundings, progress
from keepstep.client.published import schema_of
from keepstep.journal import AlreadyStarted, Definition, IfRunning, InvalidInput
from keepstep.runtime.data import parse_json, parse_json_inputs
from keepstep.runtime.errors import Cancelled, TimedOut, WorkflowFailed

from .command import EXIT_FAILED, complain
from .completion import workflow_argument
from .database import client, database_option, run
from .table import print_json

POLICY = click.Choice([each.value for each in IfRunning])
PROGRESS_SECONDS = 2.0
"""How often ``--wait`` looks at what the run is doing; it says so when that has changed."""


@click.command("start")
@workflow_argument
@click.option("--input", "inputs", multiple=True, metavar="JSON", help="One for each argument, in order.")
@click.option("--id", "id", help="The run's id; starting it again with the same input attaches to it.")
@click.option("--queue", help="The queue; by default the workflow's own.")
@click.option("--priority", type=int, metavar="N", help="On the queue; small numbers go first, and none is 0.")
@click.option("--fairness-key", metavar="KEY", help="Whose turn it is among those of the same priority.")
@click.option("--delay", metavar="DURATION", help="Begin it so much later, such as 90s, 2h or 7d.")
@click.option("--dedup", metavar="KEY", help="Instead of --id: attach to the open run of that key on the queue.")
@click.option("--timeout", metavar="DURATION", help="How long it may take; by default the workflow's own.")
@click.option(
    "--attribute", "attributes", multiple=True, metavar="NAME=JSON", help="To be found by; see docs/searching.md."
)
@click.option("--if-running", type=POLICY, default="attach", show_default=True, help="If a run of that id is open.")
@click.option("--if-closed", type=POLICY, default="attach", show_default=True, help="If the newest one is closed.")
@click.option("--wait", is_flag=True, help="Wait for the result and print it; exit code 1 if there is none.")
@database_option
def start_command(
    workflow: str, inputs: tuple[str, ...], wait: bool, url: str, attributes: tuple[str, ...], **options: Any
) -> int:
    """Start WORKFLOW, by name, and print the run's id.

    Exit code 1 if a run of that --id exists already with another workflow or input, or may not be attached to.
    """
    return run(_start(workflow, inputs, wait, url, {**options, "attributes": _attributes(attributes)}))


async def _start(workflow: str, inputs: tuple[str, ...], wait: bool, url: str, options: dict[str, Any]) -> int:
    async with client(url, create=True) as engine:
        arguments = _arguments(workflow, inputs, await engine.published.workflows())
        try:
            handle: RunHandle[Any] = await engine.start(workflow, *arguments, **options)
        except AlreadyStarted as error:
            complain(str(error))
            return EXIT_FAILED
        click.echo(handle.id)
        return await _wait(engine, handle) if wait else 0


def _arguments(workflow: str, inputs: tuple[str, ...], published: dict[str, Definition]) -> list[Any]:
    """What was given, checked against what is published. Raises ``InvalidInput``."""
    if workflow in published:
        return parse_json_inputs(schema_of(published[workflow]), list(inputs))
    if published:
        known = ", ".join(sorted(published))
        raise InvalidInput(f"no worker has published a workflow {workflow!r}; known are: {known}")
    arguments = [parse_json(text, f"input {n}") for n, text in enumerate(inputs, 1)]
    complain("no worker has published its workflows in this database yet, so name and input are not checked")
    return arguments


def _attributes(given: tuple[str, ...]) -> dict[str, Any]:
    """Of what is ``NAME=JSON``. Raises ``InvalidInput``."""
    attributes: dict[str, Any] = {}
    for each in given:
        name, separator, text = each.partition("=")
        if not separator:
            raise InvalidInput(
                f"--attribute takes NAME=JSON, such as amount=12 or customer='\"c7\"', not {each!r:.100}"
            )
        attributes[name] = parse_json(text, f"attribute {name} (text stands in quotes)")
    return attributes


async def _wait(engine: Engine, handle: RunHandle[Any]) -> int:
    """Print the result; meanwhile, say what the run is doing whenever that changes."""
    result = asyncio.ensure_future(handle.result())
    said = ""
    try:
        while not (await asyncio.wait((result,), timeout=PROGRESS_SECONDS))[0]:
            now = await _doing(engine, handle)
            if now != said:
                said = now
                click.echo(f"{handle.id}: {said}", err=True)
        print_json(result.result())
    except (WorkflowFailed, Cancelled, TimedOut) as error:
        complain(str(error))
        return EXIT_FAILED
    finally:
        result.cancel()
    return 0


async def _doing(engine: Engine, handle: RunHandle[Any]) -> str:
    info = await handle.describe()
    sentences = progress(info, await Surroundings.of(engine.journal, info))
    return " ".join(" ".join(each.split()) for each in sentences if not each.startswith("  "))
