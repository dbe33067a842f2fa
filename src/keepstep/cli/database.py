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
from keepstep.client.namespace import checked_namespace
from keepstep.codecs.environment import codec_from_environment
from keepstep.journal import NotFound
from keepstep.journal.namespace import DEFAULT as DEFAULT_NAMESPACE

_NAMESPACE = "keepstep.namespace"

F = TypeVar("F", bound=Callable[..., Any])


def database_option(command: F) -> F:
    """``--db URL``, or ``KEEPSTEP_DB``, and whose runs there are meant: ``--namespace``, or ``KEEPSTEP_NAMESPACE``."""
    option = click.option(
        "--namespace",
        envvar="KEEPSTEP_NAMESPACE",
        default=DEFAULT_NAMESPACE,
        show_default=True,
        metavar="NAME",
        expose_value=False,
        callback=_keep_namespace,
        help="Where the runs are (also: KEEPSTEP_NAMESPACE).",
    )
    return store_option(option(command))


def _keep_namespace(context: click.Context, _: click.Parameter, name: str) -> None:
    context.meta[_NAMESPACE] = checked_namespace(name)


def namespace() -> str:
    """The one that the command was given."""
    return str(click.get_current_context().meta[_NAMESPACE])


def store_option(command: F) -> F:
    """``--db URL`` alone, of commands that are about all that is there."""
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
    where = click.get_current_context().meta.get(_NAMESPACE, DEFAULT_NAMESPACE)
    async with Engine(url, workers=False, namespace=where, create=create, codec=codec_from_environment()) as engine:
        yield engine


def run(program: Coroutine[Any, Any, int | None]) -> int:
    """Run a command's coroutine; its exit code."""
    return asyncio.run(program) or 0


async def existing(engine: Engine, id: str) -> RunHandle[Any]:
    """The newest run of a workflow id, or the run of that run id. Raises ``NotFound``."""
    found = await engine.journal.find_run(engine.namespace, id) or await engine.journal.read_run(id)
    if found is None:
        where = "" if engine.namespace == DEFAULT_NAMESPACE else f"namespace {engine.namespace!r} of "
        raise NotFound(f"there is no run {id!r} in {where}{engine.url}; keepstep list shows those that there are")
    return engine.get(found.workflow_id, found.run_id)
