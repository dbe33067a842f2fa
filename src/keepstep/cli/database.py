"""Which database a command works on, and the asyncio program around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import click

from keepstep.client.address import DEFAULT_URL
from keepstep.client.engine import Engine
from keepstep.client.handle import RunHandle
from keepstep.codecs.environment import codec_from_environment
from keepstep.journal import NotFound

F = TypeVar("F", bound=Callable[..., Any])


def database_option(command: F) -> F:
    """``--db URL``, or ``KEEPSTEP_DB``."""
    option = click.option(
        "--db",
        "url",
        envvar="KEEPSTEP_DB",
        default=DEFAULT_URL,
        show_default=True,
        metavar="URL",
        help="The database (also: KEEPSTEP_DB).",
    )
    return option(command)


def json_option(command: F) -> F:
    """``--json``: for programs instead of people."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)


@asynccontextmanager
async def client(url: str, *, create: bool = False) -> AsyncIterator[Engine]:
    """An engine without a worker. A missing database is an error unless ``create``."""
    async with Engine(url, workers=False, create=create, codec=codec_from_environment()) as engine:
        yield engine


def run(program: Coroutine[Any, Any, int | None]) -> int:
    """Run a command's coroutine; its exit code."""
    return asyncio.run(program) or 0


async def existing(engine: Engine, id: str) -> RunHandle[Any]:
    """The newest run of a workflow id, or the run of that run id. Raises ``NotFound``."""
    found = await engine.journal.find_run(engine.namespace, id) or await engine.journal.read_run(id)
    if found is None:
        raise NotFound(f"there is no run {id!r} in {engine.url}; keepstep list shows those that there are")
    return engine.get(found.workflow_id, found.run_id)
