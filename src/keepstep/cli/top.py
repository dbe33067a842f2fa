"""``keepstep top``: how runs are doing, in a terminal, as it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from keepstep.client.engine import Engine
from keepstep.journal import Overloaded, StoreUnavailable

from .database import client, database_option, json_option, run
from .table import print_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPE_COLUMNS = 200


@click.command("top")
@click.option("--once", is_flag=True, help="Print it once, and end.")
@click.option("--every", type=click.FloatRange(min=0.2), default=1.0, show_default=True, metavar="SECONDS")
@json_option
@database_option
def top_command(once: bool, every: float, as_json: bool, url: str) -> int:
    """Show throughput, open runs, queues, workers, the newest runs and the last failures, until q is pressed.

    With --once or --json, and where the output is no terminal, it is printed once.
    """
    if as_json or once or not sys.stdout.isatty():
        return run(_print(as_json, url))
    return run(_watch(every, url))


async def _print(as_json: bool, url: str) -> None:
    from .vitals import read_vitals

    async with client(url) as engine:
        vitals = await read_vitals(engine)
    if as_json:
        print_json(vitals)
        return
    from .monitor import draw

    _console().print(draw(vitals))


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False, markup=False)


async def _watch(every: float, url: str) -> None:
    from rich.live import Live

    async with client(url) as engine:
        with Live(console=_console(), screen=True, auto_refresh=False) as live, _quit_key() as is_over:
            while not is_over.is_set():
                live.update(await _look(engine), refresh=True)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(is_over.wait(), every)


async def _look(engine: Engine) -> RenderableType:
    """What is to be seen now; where the store cannot be asked, why, until it can."""
    from .monitor import draw, draw_trouble
    from .vitals import read_vitals

    try:
        return draw(await read_vitals(engine))
    except (StoreUnavailable, Overloaded) as error:
        return draw_trouble(engine.url, str(error))


@contextlib.contextmanager
def _quit_key() -> Iterator[asyncio.Event]:
    """Set when q is pressed; where single keys cannot be read, such as on Windows, Ctrl-C remains."""
    is_over = asyncio.Event()
    try:
        import termios
        import tty

        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (ImportError, OSError, termios.error):
        yield is_over
        return

    def hear() -> None:
        pressed = os.read(descriptor, 64)
        if not pressed or b"q" in pressed:
            is_over.set()

    loop = asyncio.get_running_loop()
    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, hear)
    try:
        yield is_over
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
