"""``keepstep server``: the REST API and the web UI over a database, with a worker in the same process if wished."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import click

from keepstep.client.access import KeyRing
from keepstep.client.address import open_journal
from keepstep.client.engine import Engine
from keepstep.codecs.environment import codec_from_environment
from keepstep.journal import InvalidInput, Journal, uuid7
from keepstep.runtime.registry import steps, workflows
from keepstep.worker.observer import Observer

from .database import database_option, namespace, run
from .lifetime import GRACE_SECONDS, Lifetime
from .listening import base_url, callback_option, is_loopback, listen, parse_address, signatures_for
from .logs import log_options
from .module import import_interceptors, import_module, interceptor_option


@click.command("server")
@click.option("--http", metavar="[HOST:]PORT", default="8710", show_default=True, help="Where to listen.")
@click.option("--app", metavar="MODULE", help="Run the workflows and steps of this module, too, as a worker does.")
@click.option("--queue", "queues", multiple=True, default=("default",), show_default=True, help="With --app.")
@click.option("--callback-url", metavar="URL", help="Base of the URLs handed out; by default the --http address.")
@callback_option
@click.option("--require-keys", is_flag=True, help="Ask for keys on the loopback address, too.")
@click.option("--allow-anonymous", is_flag=True, help="Let everybody who reaches the address do everything.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="By which browsers may call it, too.")
@click.option("--grace-seconds", type=click.FloatRange(min=0), default=GRACE_SECONDS, show_default=True)
@interceptor_option
@log_options
@database_option
def server_command(
    http: str,
    app: str | None,
    queues: tuple[str, ...],
    callback_url: str | None,
    callback_secrets: str | None,
    require_keys: bool,
    allow_anonymous: bool,
    hosts: tuple[str, ...],
    grace_seconds: float,
    interceptors: tuple[str, ...],
    url: str,
) -> int:
    """Serve the REST API under /api/v1, the web UI, and callbacks.

    On the loopback address, which is the default, nobody is asked who they are. On any other one callers show a key,
    which `keepstep keys create` makes; while there is none, such an address is refused.

    SIGTERM and Ctrl-C stop it gracefully; a second one stops it at once.
    """
    host, port = parse_address(http)
    if require_keys and allow_anonymous:
        raise InvalidInput("--require-keys and --allow-anonymous say opposite things; leave one out")
    needs_keys = not allow_anonymous and (require_keys or not is_loopback(host))
    if app is not None:
        import_module(app)
        if not workflows() and not steps():
            raise InvalidInput(f"module {app!r} defines no @workflow and no @step, so there is nothing to run")
    options = {
        "workers": app is not None,
        "queues": queues,
        "callback_url": callback_url or base_url(host, port),
        "namespace": namespace(),
        "observers": _observers(),
        "label": app or "",
        "interceptors": import_interceptors(interceptors),
    }
    door = Door(needs_keys, None if needs_keys or allow_anonymous else hosts, callback_secrets)
    return run(_serve(url, (host, port), door, grace_seconds, options))


def _observers() -> list[Observer]:
    """Whoever counts for /metrics, where the extra is there."""
    try:
        from keepstep.telemetry.metrics import PrometheusMetrics
    except ImportError:
        return []
    return [PrometheusMetrics()]


class Door(NamedTuple):
    """Who is let in."""

    needs_keys: bool
    hosts: tuple[str, ...] | None
    """Names by which browsers may call the server, beside those of this machine; None for any."""
    callback_secrets: str | None = None
    """A file of those with one of which callbacks must be signed."""


async def _guard(store: Journal, door: Door, host: str) -> Any:
    """Raises ``InvalidInput`` where keys are needed and there are none."""
    from keepstep.server.guard import Guard

    if not door.needs_keys:
        return Guard(hosts=door.hosts)
    ring = KeyRing(store, os.urandom, uuid7)
    if not await ring.list():
        raise InvalidInput(
            f"callers at {host} have to show a key, and there is none; make one by: keepstep keys create NAME --role "
            "admin, or let everybody in who reaches that address by --allow-anonymous"
        )
    return Guard(ring, store.clock)


async def _serve(url: str, address: tuple[str, int], door: Door, grace_seconds: float, options: dict[str, Any]) -> int:
    try:
        from keepstep.server.app import server_app
        from keepstep.server.engines import Engines
    except ImportError as error:
        raise InvalidInput(f"server needs more packages ({error.name}): pip install 'keepstep[server]'") from error
    lifetime = Lifetime()
    async with AsyncExitStack() as closing:
        store = await open_journal(url)
        closing.push_async_callback(store.close)
        store.listen(lifetime.hear)
        guard = await _guard(store, door, address[0])
        first = await _engine(store, url, **options).__aenter__()
        closing.push_async_callback(first.close, grace_seconds)
        engines = Engines(first, lambda name: _engine(store, url, workers=False, namespace=name), store)
        closing.push_async_callback(engines.close)
        app = server_app(engines, guard, signatures_for(first, door.callback_secrets))
        listener = await listen(app, *address, grace_seconds)
        closing.push_async_callback(listener.stop)
        closing.callback(app.state.desk.close)
        asked = "callers show keys" if door.needs_keys else "nobody is asked who they are"
        click.echo(f"keepstep server {os.getpid()}: {base_url(*address)}; {asked}; {url}")
        await lifetime.wait()
        click.echo("keepstep server: stopping; a second signal stops at once")
    return 0


def _engine(store: Journal, url: str, **options: Any) -> Engine:
    """An engine on a store that others use, too."""
    return Engine(url, journal=store, codec=codec_from_environment(), **options)
