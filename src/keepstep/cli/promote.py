"""``keepstep promote``: move a journal from a SQLite file to a PostgreSQL server, and go on there."""

from __future__ import annotations

import sys
import time

import click

from keepstep.client.promotion import Differs, promote, take_back
from keepstep.journal.moving import Progress

from .command import EXIT_FAILED, complain

TOLD_SECONDS = 2.0
"""Between two lines of progress, where they do not replace each other."""


@click.command("promote")
@click.option("--from", "from_url", required=True, metavar="URL", help="The SQLite database, sqlite:///….")
@click.option("--to", "to_url", required=True, metavar="URL", help="The PostgreSQL database, postgresql://….")
@click.option("--wait", is_flag=True, help="Wait until all workers have stopped.")
@click.option("--abort", is_flag=True, help="Take it back, as long as nobody has used the new database.")
@click.option("--force", is_flag=True, help="With --abort: without asking the new database.")
def promote_command(from_url: str, to_url: str, wait: bool, abort: bool, force: bool) -> int:
    """Move everything, open runs included, from SQLite to PostgreSQL.

    Stop all workers first. The old database cannot be written any more from then on. Stopped at any point, the same
    command goes on where it was. Exit code 1 if what has arrived is not what has left.
    """
    if force and not abort:
        raise click.UsageError("--force belongs to --abort")
    if wait and abort:
        raise click.UsageError("--wait does not go with --abort")
    teller = _Teller()
    try:
        if abort:
            take_back(from_url, to_url, force=force, tell=teller.tell, say=teller.say)
        else:
            moved = promote(from_url, to_url, wait=wait, tell=teller.tell, say=teller.say)
    except Differs as error:
        teller.end()
        for difference in error.differences:
            complain(difference)
        complain(str(error).rpartition("; ")[2])
        return EXIT_FAILED
    except KeyboardInterrupt:
        teller.end()
        complain("interrupted; the same command goes on where it was, and with --abort takes the journal back")
        return EXIT_FAILED
    teller.end()
    if abort:
        click.echo("taken back: the journal is where it was")
    else:
        click.echo(_summary(moved, teller.seconds()))
    return 0


def _summary(moved: dict[str, int], seconds: float) -> str:
    rows = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in moved.items() if count)
    took = f"; {rows} in {seconds:.0f} s, each run compared" if rows else ""
    return f"promoted{took}. Start workers and clients with --db and the new URL"


class _Teller:
    """Says how far it has come: on one line of a terminal, or now and then on a line of its own."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._is_terminal = sys.stderr.isatty()
        self._tell_at = 0.0
        self._what = ""
        self._is_open = False
        """Whether the last line waits for one that replaces it."""

    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def say(self, text: str) -> None:
        self.end()
        click.echo(text, err=True)

    def tell(self, progress: Progress) -> None:
        now = time.monotonic()
        is_first, is_last = progress.what != self._what, progress.done == progress.total
        if progress.total == 0 or not (is_first or is_last or now >= self._tell_at):
            return
        self._what, self._tell_at = progress.what, now + (0.1 if self._is_terminal else TOLD_SECONDS)
        text = f"{progress.what}: {progress.done} of {progress.total} ({progress.done / progress.total:.0%})"
        if self._is_terminal:
            click.echo(f"\r\x1b[K{text}", err=True, nl=False)
            self._is_open = True
        else:
            click.echo(text, err=True)

    def end(self) -> None:
        if self._is_open:
            click.echo(err=True)
            self._is_open = False
