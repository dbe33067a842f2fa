"""The command group, and what every error looks like: one line that says what to do, and an exit code.

0: done. 1: the thing asked about failed. 2: wrong use, or something is missing.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from keepstep.journal import Error

EXIT_FAILED = 1
EXIT_WRONG_USE = 2

_COMMANDS = {
    "demo": "demo",
    "worker": "worker",
    "start": "start",
    "list": "runs",
    "show": "runs",
    "history": "runs",
    "signal": "speak",
    "cancel": "speak",
    "terminate": "speak",
    "retry": "speak",
    "resolve": "speak",
    "tasks": "people",
    "complete": "people",
    "doctor": "doctor",
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
        found: Any = getattr(importlib.import_module(f".{module}", __package__), f"{cmd_name}_command")
        assert isinstance(found, click.Command)
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="keepstep")
def keepstep() -> None:
    """Multi-step processes that run to their end, whatever crashes."""


def main() -> None:
    """Run the command line and exit."""
    try:
        code = keepstep.main(standalone_mode=False, prog_name="keepstep")
    except click.ClickException as error:
        error.show()
        code = EXIT_WRONG_USE
    except click.Abort:
        code = EXIT_FAILED
    except Error as error:
        complain(str(error))
        code = EXIT_WRONG_USE
    except BrokenPipeError:
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def complain(text: str) -> None:
    """One line on standard error."""
    click.echo(f"keepstep: {' '.join(text.split())}", err=True)
