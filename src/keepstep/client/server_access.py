"""ServerAccess: how an engine gets at a server, of which it is a client. HTTP is loaded when that is opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

from keepstep.codecs import Codec
from keepstep.journal import InvalidInput, Journal

KEY = "KEEPSTEP_KEY"
"""Name of the environment variable with the key that is shown where none is given."""

OPTIONS = ("patience_seconds", "poll_seconds", "verify", "cert", "proxy", "trust_env", "transport")
"""What else may be said of a server: of this client the first two, the rest of the HTTP client."""


class ServerAccess(msgspec.Struct, frozen=True):
    """What it takes."""

    url: str
    key: str | None
    options: dict[str, Any]

    @classmethod
    def of(cls, url: str, key: str | None, workers: bool | None, options: dict[str, Any]) -> ServerAccess:
        """``options``: of the engine; those that are a server's are taken out. Raises ``InvalidInput``."""
        from keepstep.journal.remote.transport import checked_key, checked_url

        if workers:
            raise InvalidInput(
                f"{url} is a server, at which no worker can stand: run keepstep worker on the database, or keepstep "
                "server --app; leave out workers=True for a client"
            )
        taken = {name: options.pop(name) for name in OPTIONS if name in options}
        shown = checked_key(os.environ.get(KEY) if key is None else key)
        return cls(checked_url(url), shown, taken)

    @property
    def poll_seconds(self) -> float:
        """How often is looked behind the live changes, which tell at once."""
        from keepstep.journal.remote.journal import POLL_SECONDS

        return float(self.options.get("poll_seconds", POLL_SECONDS))

    async def open(self, namespace: str, codec: Codec, make_id: Callable[[], str]) -> Journal:
        """The server's journal. With a codec that changes something, values travel as that has sealed them."""
        from keepstep.journal.remote.journal import open_remote

        options = {name: value for name, value in self.options.items() if name != "poll_seconds"}
        return await open_remote(
            self.url, namespace=namespace, key=self.key, as_stored=codec.changes_something, make_id=make_id, **options
        )
