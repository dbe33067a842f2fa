"""``keepstep retention``: how long closed runs are kept, and what has come of that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from keepstep.client.retention import RetentionInfo, RuleInfo, Swept
from keepstep.journal import InvalidInput

from .command import EXIT_FAILED, complain
from .database import client, database_option, json_option, run
from .table import clock_time, print_json, print_table, span


@click.group("retention", invoke_without_command=True)
@json_option
@database_option
@click.pass_context
def retention_command(context: click.Context, as_json: bool, url: str) -> int:
    """Show how long closed runs are kept, and what was removed; or change it. See docs/life-cycle.md."""
    if context.invoked_subcommand is None:
        return run(_show(as_json, url))
    _check_nothing_said_before(context)
    return 0


def _check_nothing_said_before(context: click.Context) -> None:
    """What stands before the name of a command would not reach it."""
    for parameter in context.command.params:
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE:
            raise InvalidInput(
                f"{parameter.opts[0]} goes behind the command: "
                f"keepstep retention {context.invoked_subcommand} … {parameter.opts[0]}"
            )


async def _show(as_json: bool, url: str) -> int:
    async with client(url) as engine:
        info = await engine.retention.describe()
    if as_json:
        print_json(_as_data(info))
    else:
        _print(info)
    return EXIT_FAILED if info.trouble or info.left else 0


def _as_data(info: RetentionInfo) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(info)
    for status, rule in info.rules.items():
        seconds = None if rule.keep is None else rule.keep.total_seconds()
        data["rules"][status.value] = {"keep_seconds": seconds, "archive": rule.archive}
    return data


def _print(info: RetentionInfo) -> None:
    print_table(("closed runs", "are kept", "and then"), [_row(status, rule) for status, rule in info.rules.items()])
    if info.removed or info.swept_at is not None:
        click.echo(f"{info.removed} runs were removed, {info.archived} of them archived")
    if info.next_at is not None:
        click.echo(f"the next look is at {clock_time(info.next_at)}")
    if info.trouble is not None:
        complain(f"nothing is removed now: {info.trouble}")
    _complain_of(info.left)


def _row(status: str, rule: RuleInfo) -> tuple[str, ...]:
    then = "" if rule.keep is None else "removed" if rule.archive is None else f"archived in {rule.archive}"
    return str(status), _length(rule.keep), then


def _length(keep: timedelta | None) -> str:
    return "forever" if keep is None else span(keep.total_seconds())


def _complain_of(left: dict[str, str]) -> None:
    for run_id, why in left.items():
        complain(f"run {run_id} stays: {why}")


@retention_command.command("set")
@click.argument("status")
@click.argument("keep")
@click.option("--archive", metavar="PLACE", help="Write each run there before it is removed: a folder, or s3://…")
@database_option
def set_retention(status: str, keep: str, archive: str | None, url: str) -> int:
    """Keep runs that were closed with STATUS (completed, failed …, or all) for KEEP, such as 30d; or forever.

    Workers begin with it at once. A folder for the archive must be one that all of them reach.
    """
    return run(_set(status, keep, archive, url))


async def _set(status: str, keep: str, archive: str | None, url: str) -> None:
    async with client(url, create=False) as engine:
        await engine.retention.set(status, keep, archive=archive)
        rules = (await engine.retention.describe()).rules
    for each, rule in rules.items():
        if status in ("all", each.value):
            _, length, then = _row(each, rule)
            click.echo(f"{each.value}: {length}{f', then {then}' if then else ''}")


@retention_command.command("sweep")
@click.option("--dry-run", is_flag=True, help="Only count.")
@json_option
@database_option
def sweep_retention(dry_run: bool, as_json: bool, url: str) -> int:
    """Remove now what workers would remove at their next look. Exit code 1 if something that is due stays."""
    return run(_sweep(dry_run, as_json, url))


async def _sweep(dry_run: bool, as_json: bool, url: str) -> int:
    async with client(url) as engine:
        swept = await engine.retention.sweep(dry_run=dry_run)
    if as_json:
        print_json(msgspec.to_builtins(swept))
    else:
        click.echo(_summary(swept, dry_run))
        _complain_of(swept.left)
    return EXIT_FAILED if swept.left else 0


def _summary(swept: Swept, dry_run: bool) -> str:
    archived = f", {swept.archived} of them archived before" if swept.archived else ""
    return f"{'would remove' if dry_run else 'removed'} {swept.removed} runs{archived}"
