"""``keepstep dev MODULE``: the server, its web UI and a worker in one command, for whoever writes the module."""

from __future__ import annotations

import asyncio
import os
import sys
import webbrowser
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import click

from keepstep.journal import InvalidInput
from keepstep.journal.namespace import DEFAULT

from .command import EXIT_FAILED, complain
from .database import database_option, namespace, run
from .door import Door
from .listening import base_url, is_loopback, parse_address
from .reloading import Reloading
from .serving import serving

GRACE_SECONDS = 3.0
"""What requests, and a worker that is replaced, have to end in."""

LEASE_SECONDS = 2.0
"""So that a killed worker's runs go on soon, whatever else is on the machine."""

WATCHED = (".py", ".toml", ".json", ".yaml", ".yml", ".env")
"""Endings of the files whose change makes a new worker."""


@click.command("dev")
@click.argument("module", metavar="FILE_OR_MODULE")
@click.option("--http", metavar="PORT", default="8710", show_default=True, help="Where to listen, on this machine.")
@click.option("--queue", "queues", multiple=True, default=("default",), show_default=True, help="A queue to serve.")
@click.option("--watch", "watched", multiple=True, metavar="PATH", help="What to look at for changes, too.")
@click.option("--open", "is_opened", is_flag=True, help="Show the page in a browser.")
@database_option
def dev_command(
    module: str, http: str, queues: tuple[str, ...], watched: tuple[str, ...], is_opened: bool, url: str
) -> int:
    """Run a module while it is being written: server, web UI and worker, with the newest code.

    When a file below the current folder, or beside the module, changes, another worker takes over with the new code;
    runs go on where they were. Code that cannot be imported says why, and the worker before it goes on. Runs that the
    new code does not fit are named, as keepstep check does.
    """
    host, port = parse_address(http)
    if not is_loopback(host):
        raise InvalidInput(
            f"keepstep dev lets everybody do everything, and others reach {host}; leave the address out, or use "
            "keepstep server --app"
        )
    if url.startswith(("http:", "https:")):
        raise InvalidInput(f"keepstep dev is a server itself: say --db with a database, not with {url}")
    if module.endswith(".py") and not Path(module).is_file():
        raise InvalidInput(f"there is no file {module}; keepstep init makes a first one")
    places = _places(module, watched)
    worker = [module, "--db", url, "--namespace", namespace(), "--callback-url", base_url(host, port)]
    worker += ["--lease-seconds", f"{LEASE_SECONDS}", "--grace-seconds", f"{GRACE_SECONDS}", "--log-level", "warning"]
    worker += [word for queue in queues for word in ("--queue", queue)]
    return run(_develop(url, (host, port), module, worker, places, is_opened=is_opened))


def _places(module: str, watched: Sequence[str]) -> list[str]:
    missing = [place for place in watched if not Path(place).exists()]
    if missing:
        raise InvalidInput(f"--watch: there is no {missing[0]}")
    beside = [str(Path(module).resolve().parent)] if module.endswith(".py") else []
    return list(dict.fromkeys([os.getcwd(), *beside, *map(os.path.abspath, watched)]))


def _say(text: str) -> None:
    click.echo(f"keepstep dev: {text}")


async def _develop(
    url: str, address: tuple[str, int], module: str, worker: Sequence[str], places: Sequence[str], *, is_opened: bool
) -> int:
    changes = _changes(places)
    options = {"workers": False, "callback_url": base_url(*address), "namespace": namespace(), "label": "keepstep dev"}
    async with serving(url, address, Door(), GRACE_SECONDS, options) as lifetime:
        where = "" if namespace() == DEFAULT else f", namespace {namespace()}"
        _say(f"{base_url(*address)} shows every run; {url}{where}; Ctrl-C ends it")
        if is_opened:
            webbrowser.open(base_url(*address))
        checking = _Checking(module, url)
        reloading = asyncio.create_task(Reloading(worker, GRACE_SECONDS, _say).run(changes, checking.begin))
        ending = asyncio.create_task(lifetime.wait())
        try:
            await asyncio.wait((reloading, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            checking.end()
            ended = [each for each in (reloading, ending) if each.done()]
            reloading.cancel()
            await asyncio.gather(reloading, return_exceptions=True)
        for each in ended:
            each.result()
        _say("stopped; the runs are kept, and go on when it is begun again")
    return 0


async def _changes(places: Sequence[str]) -> AsyncIterator[Sequence[str]]:
    """Names of files that have changed, of those that matter."""
    from watchfiles import Change, DefaultFilter, awatch

    class Filter(DefaultFilter):
        def __call__(self, change: Change, path: str) -> bool:
            return path.endswith(WATCHED) and super().__call__(change, path)

    async for found in awatch(*places, watch_filter=Filter()):
        yield _names({path for _, path in found})


def _names(paths: Iterable[str]) -> list[str]:
    """As somebody says them who is in this folder."""
    return sorted(map(os.path.relpath, paths))


class _Checking:
    """After each change, whether the open runs fit the code, in a process of its own; silent where they do."""

    def __init__(self, module: str, url: str) -> None:
        self._command = [sys.executable, "-m", "keepstep", "check", module, "--db", url, "--namespace", namespace()]
        self._checking: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Check against the code as it is now; what is being checked already is given up."""
        self.end()
        self._checking = asyncio.create_task(self._check())

    def end(self) -> None:
        if self._checking is not None:
            self._checking.cancel()

    async def _check(self) -> None:
        checked = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            said, _ = await checked.communicate()
        except asyncio.CancelledError:
            checked.kill()
            raise
        if checked.returncode == EXIT_FAILED:
            complain("open runs do not fit the code as it is now, and wait for code that does:")
            click.echo(said.decode(errors="replace"), nl=False, err=True)
