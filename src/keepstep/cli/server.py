"""``keepstep server``: the REST API and the web UI over a database, with a worker in the same process if wished."""

from __future__ import annotations

import os
from typing import Any

import click

from keepstep.client.address import open_journal
from keepstep.client.engine import Engine
from keepstep.codecs.environment import codec_from_environment
from keepstep.journal import InvalidInput, Journal
from keepstep.runtime.registry import steps, workflows
from keepstep.worker.observer import Observer

from .database import database_option, namespace, run
from .lifetime import GRACE_SECONDS, Lifetime
from .listening import base_url, is_loopback, listen, parse_address
from .logs import log_options
from .module import import_module


@click.command("server")
@click.option("--http", metavar="[HOST:]PORT", default="8710", show_default=True, help="Where to listen.")
@click.option("--app", metavar="MODULE", help="Run the workflows and steps of this module, too, as a worker does.")
@click.option("--queue", "queues", multiple=True, default=("default",), show_default=True, help="With --app.")
@click.option("--callback-url", metavar="URL", help="Base of the URLs handed out; by default the --http address.")
@click.option("--allow-anonymous", is_flag=True, help="Let everybody who reaches the address do everything.")
@click.option("--grace-seconds", type=click.FloatRange(min=0), default=GRACE_SECONDS, show_default=True)
@log_options
@database_option
def server_command(
    http: str,
    app: str | None,
    queues: tuple[str, ...],
    callback_url: str | None,
    allow_anonymous: bool,
    grace_seconds: float,
    url: str,
) -> int:
    """Serve the REST API under /api/v1, the web UI, and callbacks.

    On the loopback address, which is the default, nobody is asked who they are; any other address is refused without
    --allow-anonymous.

    SIGTERM and Ctrl-C stop it gracefully; a second one stops it at once.
    """
    host, port = parse_address(http)
    if not is_loopback(host) and not allow_anonymous:
        raise InvalidInput(
            f"{host} can be reached from other machines, and everybody there could do everything; listen on "
            f"127.0.0.1:{port} behind a proxy that asks who they are, or say --allow-anonymous"
        )
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
    }
    return run(_serve(url, (host, port), grace_seconds, options))


def _observers() -> list[Observer]:
    """Whoever counts for /metrics, where the extra is there."""
    try:
        from keepstep.telemetry.metrics import PrometheusMetrics
    except ImportError:
        return []
    return [PrometheusMetrics()]


async def _serve(url: str, address: tuple[str, int], grace_seconds: float, options: dict[str, Any]) -> int:
    try:
        from keepstep.server.app import server_app
        from keepstep.server.engines import Engines
    except ImportError as error:
        raise InvalidInput(f"server needs more packages ({error.name}): pip install 'keepstep[server]'") from error
    lifetime = Lifetime()
    store = await open_journal(url)
    store.listen(lifetime.hear)
    first = _engine(store, url, **options)
    engines = Engines(first, lambda name: _engine(store, url, workers=False, namespace=name), store)
    listener = None
    try:
        await first.__aenter__()
        app = server_app(engines)
        listener = await listen(app, *address, grace_seconds)
        click.echo(f"keepstep server {os.getpid()}: {base_url(*address)}; {url}")
        await lifetime.wait()
        click.echo("keepstep server: stopping; a second signal stops at once")
    finally:
        if listener is not None:
            app.state.desk.close()
            await listener.stop()
        await engines.close()
        await first.close(grace_seconds)
        await store.close()
    return 0


def _engine(store: Journal, url: str, **options: Any) -> Engine:
    """An engine on a store that others use, too."""
    return Engine(url, journal=store, codec=codec_from_environment(), **options)
