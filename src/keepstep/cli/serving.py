"""Serving: a server over a database, from the first request to the last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from keepstep.client.address import open_journal
from keepstep.client.engine import Engine
from keepstep.codecs.environment import codec_from_environment
from keepstep.journal import InvalidInput, Journal
from keepstep.worker.observer import Observer

from .door import Door, certificate_of, guard_of
from .lifetime import Lifetime
from .listening import listen, signatures_for


@asynccontextmanager
async def serving(
    url: str, address: tuple[str, int], door: Door, grace_seconds: float, options: dict[str, Any]
) -> AsyncIterator[Lifetime]:
    """Serve within the block. ``options``: of the engine; the lifetime is over when the process is told to stop.

    Raises ``InvalidInput`` where a package is missing, the address cannot be had, or nobody could be let in.
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
        guard = await guard_of(door, store, address[0])
        if guard.provider is not None:
            closing.push_async_callback(guard.provider.close)
        first = await _engine(store, url, observers=_observers(), **options).__aenter__()
        closing.push_async_callback(first.close, grace_seconds)
        engines = Engines(first, lambda name: _engine(store, url, workers=False, namespace=name), store)
        closing.push_async_callback(engines.close)
        app = server_app(engines, guard, signatures_for(first, door.callback_secrets))
        listener = await listen(app, *address, grace_seconds, certificate_of(door))
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
