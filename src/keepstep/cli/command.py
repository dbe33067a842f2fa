"""The command group, and what every error looks like: one line that says what to do, and an exit code.

0: done. 1: the thing asked about failed. 2: wrong use, or something is missing.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from keepstep.journal import Error

EXIT_FAILED = 1
EXIT_WRONG_USE = 2

_COMMANDS = {
    "demo": "demo",
    "init": "init",
    "dev": "dev",
    "worker": "worker",
    "server": "server",
    "keys": "keys",
    "sessions": "sessions",
    "start": "start",
    "list": "runs",
    "show": "runs",
    "history": "runs",
    "stream": "streams",
    "signal": "speak",
    "query": "ask",
    "update": "ask",
    "cancel": "speak",
    "terminate": "speak",
    "retry": "speak",
    "pause": "speak",
    "resume": "speak",
    "move-start": "speak",
    "resolve": "speak",
    "fork": "fork",
    "check": "check",
    "tasks": "people",
    "complete": "people",
    "schedules": "schedules",
    "retention": "retention",
    "archive": "archive",
    "export": "transfer",
    "import": "transfer",
    "promote": "promote",
    "queues": "queues",
    "attributes": "attributes",
    "reencrypt": "sealing",
    "sweep-blobs": "sealing",
    "new-key": "sealing",
    "top": "top",
    "doctor": "doctor",
    "completion": "completion",
}
"""Which module of this folder defines which command; a module is imported when its command is used."""


class _Commands(click.Group):
    """Loads commands lazily, so that ``keepstep list`` does not pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        found: Any = getattr(
            importlib.import_module(f".{module}", __package__), f"{cmd_name.replace('-', '_')}_command"
        )
        assert isinstance(found, click.Command)
        return found


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="keepstep")
@click.pass_context
def keepstep(context: click.Context) -> None:
    """Multi-step processes that run to their end, whatever crashes.

    Exit codes: 0 done, 1 the thing asked about failed, 2 wrong use or something is missing.
    """
    if os.environ.get("NO_COLOR"):  # https://no-color.org; rich minds it by itself
        context.color = False
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(EXIT_WRONG_USE)


def main() -> None:
    """Run the command line and exit."""
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        code = keepstep.main(standalone_mode=False, prog_name="keepstep")
        sys.stdout.flush()
    except click.ClickException as error:
        complain(_usage_error(error))
        return EXIT_WRONG_USE
    except click.Abort:
        complain("interrupted; what was started or asked for before goes on")
        return EXIT_FAILED
    except Error as error:
        complain(str(error))
        if error.picture:
            click.echo(error.picture, err=True)
        return EXIT_WRONG_USE
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("KEEPSTEP_TRACEBACK"):
            raise
        complain(
            f"{type(error).__name__}: {error}; this was not foreseen, and KEEPSTEP_TRACEBACK=1 in the environment "
            "shows where it comes from"
        )
        return EXIT_FAILED
    return code if isinstance(code, int) else 0


def _usage_error(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    where = "" if context is None else f"; see: {context.command_path} --help"
    return f"{error.format_message().rstrip('.')}{where}"


def complain(text: str) -> None:
    """One line on standard error."""
    click.echo(f"keepstep: {' '.join(_without_pictures(text).split())}", err=True)


def _without_pictures(text: str) -> str:
    """Without the lines that only show a place by a caret below it; the text itself names the position."""
    lines = text.splitlines()
    carets = {n for n, line in enumerate(lines) if line.strip() == "^"}
    return "\n".join(line for n, line in enumerate(lines) if n not in carets and n + 1 not in carets)
