"""``keepstep completion``: what a shell needs to complete commands, options, ids and names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem, get_completion_class

from keepstep.client.address import DEFAULT_URL
from keepstep.client.engine import Engine
from keepstep.journal.namespace import DEFAULT as DEFAULT_NAMESPACE

SHELLS = ("bash", "zsh", "fish")

OFFERED_MAX = 50
SECONDS_MAX = 1.0
"""So long a database is asked for; a shell that waits longer is worse than one that offers nothing."""

F = TypeVar("F", bound=Callable[..., Any])

Complete = Callable[[click.Context, click.Parameter, str], Sequence[CompletionItem]]


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> int:
    """Print a script that lets SHELL complete what is typed behind `keepstep`.

    For bash, in ~/.bashrc: eval "$(keepstep completion bash)"; for zsh likewise, in ~/.zshrc. For fish:
    keepstep completion fish > ~/.config/fish/completions/keepstep.fish
    """
    made = get_completion_class(shell)
    assert made is not None
    from .command import keepstep

    click.echo(made(keepstep, {}, "keepstep", "_KEEPSTEP_COMPLETE").source())
    return 0


def _offering(find: Callable[[Engine, str], Awaitable[list[CompletionItem]]]) -> Complete:
    """A completion from the database; nothing where it cannot be asked."""

    def complete(context: click.Context, _: click.Parameter, begun: str) -> Sequence[CompletionItem]:
        try:
            return asyncio.run(_find(context, begun, find))
        except Exception:
            return []  # whoever runs the command is told what is wrong

    return complete


async def _find(
    context: click.Context, begun: str, find: Callable[[Engine, str], Awaitable[list[CompletionItem]]]
) -> list[CompletionItem]:
    async with asyncio.timeout(SECONDS_MAX), _client(context) as engine:
        return await find(engine, begun)


@asynccontextmanager
async def _client(context: click.Context) -> AsyncIterator[Engine]:
    """What is typed so far, or the environment, says where the runs are."""
    from keepstep.codecs.environment import codec_from_environment

    typed: dict[str, Any] = context.params
    url = typed.get("url") or os.environ.get("KEEPSTEP_DB") or DEFAULT_URL
    where = os.environ.get("KEEPSTEP_NAMESPACE", DEFAULT_NAMESPACE)
    async with Engine(url, workers=False, create=False, namespace=where, codec=codec_from_environment()) as engine:
        yield engine


async def _runs(engine: Engine, begun: str) -> list[CompletionItem]:
    escaped = begun.replace("'", "''")
    wanted = f"WorkflowId STARTS_WITH '{escaped}' ORDER BY StartTime DESC" if begun else "ORDER BY StartTime DESC"
    return [
        CompletionItem(info.id, help=f"{info.type} {info.condition or info.status}")
        async for info in engine.list(wanted, limit=OFFERED_MAX)
    ]


async def _workflows(engine: Engine, begun: str) -> list[CompletionItem]:
    definitions = await engine.journal.list_definitions(engine.namespace)
    names = sorted({each.name for each in definitions if each.kind == "workflow" and each.name.startswith(begun)})
    return [CompletionItem(name) for name in names[:OFFERED_MAX]]


async def _schedules(engine: Engine, begun: str) -> list[CompletionItem]:
    found = [CompletionItem(info.id) async for info in engine.list_schedules() if info.id.startswith(begun)]
    return found[:OFFERED_MAX]


def complete_first(context: click.Context, parameter: click.Parameter, begun: str) -> Sequence[CompletionItem]:
    """For an argument of several words, the first of which is the id of a run."""
    return [] if context.params.get(parameter.name or "") else _offering(_runs)(context, parameter, begun)


def run_argument(*, required: bool = True) -> Callable[[F], F]:
    """The id of a run; offered are the newest ones."""
    return click.argument("id", required=required, shell_complete=_offering(_runs))


def schedule_argument(command: F) -> F:
    """The id of a schedule."""
    return click.argument("id", shell_complete=_offering(_schedules))(command)


def workflow_argument(command: F) -> F:
    """The name of a workflow; offered are those that workers have published."""
    return click.argument("workflow", shell_complete=_offering(_workflows))(command)
