"""What ``keepstep doctor`` finds out about who may call a server, and what the server has for them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from keepstep.client.access import Key, KeyRing
from keepstep.client.address import is_server, open_journal
from keepstep.journal import uuid7

from .finding import Finding
from .listening import is_loopback

SOON_SECONDS = 14 * 86_400


async def look_at_access(url: str) -> AsyncIterator[Finding]:
    """Of a server, how it is reached; of a database, the keys that lie in it."""
    if is_server(url):
        for finding in _way(url):
            yield finding
        return
    store = await open_journal(url, create=False)
    try:
        now = store.clock.now()
        for key in await KeyRing(store, os.urandom, uuid7).list():
            for finding in _key(key, now):
                yield finding
    finally:
        await store.close()


def _way(url: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        what = f"{url} is reached without TLS: keys and data can be read on the way"
        yield Finding("warning", what, "put TLS before the server, and say https://")


def _key(key: Key, now: int) -> Iterator[Finding]:
    named = f"the key {key.name!r} ({key.id}, {key.role.value})"
    if key.expires_at is None:
        do = (
            f"keepstep keys create {key.name} --role {key.role.value} --expires 90d, then keepstep keys revoke {key.id}"
        )
        yield Finding("warning", f"{named} never expires", do)
    elif key.expires_at <= now:
        yield Finding("ok", f"{named} has expired", f"keepstep keys revoke {key.id}")
    elif (left := (key.expires_at - now) / 1e6) < SOON_SECONDS:
        what = f"{named} expires in {left / 86_400:.0f} days"
        yield Finding("warning", what, f"keepstep keys create {key.name} --role {key.role.value} --expires 90d")


def look_at_ui() -> Iterator[Finding]:
    """Whether the web UI was built; nothing where no server can run."""
    if importlib.util.find_spec("starlette") is None:
        return
    import keepstep

    if (Path(keepstep.__file__).parent / "server" / "static" / "index.html").exists():
        yield Finding("ok", "the web UI is there")
    else:
        do = "make ui in a checkout, or pip install --force-reinstall 'keepstep[server]'"
        yield Finding("warning", "the web UI was not built when this was installed", do)
