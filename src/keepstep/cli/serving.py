"""Serving: a server over a database, from the first request to the last, and who is let in at its door."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

from keepstep.client.access import KeyRing
from keepstep.client.address import open_journal
from keepstep.client.engine import Engine
from keepstep.codecs.environment import codec_from_environment
from keepstep.journal import InvalidInput, Journal, uuid7
from keepstep.worker.observer import Observer

from .lifetime import Lifetime
from .listening import is_loopback, listen, signatures_for


class Door(NamedTuple):
    """Who is let in."""

    needs_keys: bool
    hosts: tuple[str, ...] | None
    """Names by which browsers may call the server, beside those of this machine; None for any."""
    callback_secrets: str | None = None
    """A file of those with one of which callbacks must be signed."""


def door_of(
    host: str, hosts: tuple[str, ...], callback_secrets: str | None, *, require_keys: bool, allow_anonymous: bool
) -> Door:
    """Keys are asked for where others than this machine reach the address. Raises ``InvalidInput``."""
    if require_keys and allow_anonymous:
        raise InvalidInput("--require-keys and --allow-anonymous say opposite things; leave one out")
    needs_keys = not allow_anonymous and (require_keys or not is_loopback(host))
    return Door(needs_keys, None if needs_keys or allow_anonymous else hosts, callback_secrets)


@asynccontextmanager
async def serving(
    url: str, address: tuple[str, int], door: Door, grace_seconds: float, options: dict[str, Any]
) -> AsyncIterator[Lifetime]:
    """Serve within the block. ``options``: of the engine; the lifetime is over when the process is told to stop.

    Raises ``InvalidInput`` where a package is missing, the address cannot be had, or a key is needed and there is none.
    """
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
        first = await _engine(store, url, observers=_observers(), **options).__aenter__()
        closing.push_async_callback(first.close, grace_seconds)
        engines = Engines(first, lambda name: _engine(store, url, workers=False, namespace=name), store)
        closing.push_async_callback(engines.close)
        app = server_app(engines, guard, signatures_for(first, door.callback_secrets))
        listener = await listen(app, *address, grace_seconds)
        closing.push_async_callback(listener.stop)
        closing.callback(app.state.desk.close)
        yield lifetime


def _engine(store: Journal, url: str, **options: Any) -> Engine:
    """An engine on a store that others use, too."""
    return Engine(url, journal=store, codec=codec_from_environment(), **options)


def _observers() -> list[Observer]:
    """Whoever counts for /metrics, where the extra is there."""
    try:
        from keepstep.telemetry.metrics import PrometheusMetrics
    except ImportError:
        return []
    return [PrometheusMetrics()]


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
