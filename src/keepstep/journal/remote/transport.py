"""Transport: one call of a server over HTTP, asked again where that does no harm.

A call that may be repeated (it looks, or carries an id by which a second one is known) is asked again when the server
is away, restarts, or says that it has too much to do, until ``patience_seconds`` are over. One that may not is asked
again only where nothing can have been done: the connection was refused, or the server said so.

An unknown outcome is told as what it is. Nothing is logged of values, and the key is in no error.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from keepstep.journal.errors import InvalidInput, JournalError, StoreUnavailable

from .refusals import COME_AGAIN, NOT_DONE, error_of

T = TypeVar("T")

BASE = "/api/v1"
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""So long an answer may take to begin, beside what the call itself waits."""

PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.1, 5.0
RETRY_AFTER_SECONDS_MAX = 30.0
CONNECTIONS_MAX = 100
CHANGES_PAUSE_SECONDS = 0.01
"""At least, between two tellings of live changes: who waits for a result wants it now."""

SILENCE_SECONDS_MAX = 45.0
"""A stream that says nothing for so long, not even that it is alive, has been lost."""


def checked_url(url: str) -> str:
    """The address of a server, without a slash at its end. Raises ``InvalidInput``."""
    parts = urlsplit(url)
    try:
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or parts.query or parts.fragment:
        raise InvalidInput(f"{url!r} is no address of a Keepstep server; write http://host:8710 or https://host/path")
    if parts.username or parts.password:
        raise InvalidInput("a server's address has no password in it; give its key: Engine(url, key=...)")
    return url.rstrip("/")


def checked_key(key: str | None) -> str | None:
    """Raises ``InvalidInput`` for a text that cannot be one, without showing it."""
    if key is None or not isinstance(key, str) or not key.strip():
        return None
    text = key.strip()
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise InvalidInput("the key has signs in it that no key has; it is the text that keepstep keys create printed")
    return text


def _load_client() -> Any:
    try:
        return importlib.import_module("httpx2")
    except ImportError as error:
        raise InvalidInput(
            "a server is asked over HTTP; that needs a package: pip install 'keepstep[remote]'"
        ) from error


class Transport:
    """Calls of one server, in one namespace. ``options`` go to the HTTP client, such as ``verify``."""

    def __init__(self, url: str, namespace: str, key: str | None, patience_seconds: float, **options: Any) -> None:
        self.url = checked_url(url)
        self._patience_seconds = patience_seconds
        self._http = _load_client()
        headers = {"Accept": "application/json"}
        if (shown := checked_key(key)) is not None:
            headers["Authorization"] = f"Bearer {shown}"
        self._client = self._http.AsyncClient(
            headers=headers,
            params={"namespace": namespace},
            timeout=self._http.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            limits=self._http.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
            **options,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def call(
        self, name: str, said: msgspec.Struct | None, answer: type[T], *, is_repeatable: bool = True,
        wait_seconds: float = 0.0, params: Mapping[str, str] | None = None,
    ) -> T:  # fmt: skip
        """What the server answers to a word of the journal; see the module for when it is asked again.

        ``wait_seconds``: how long the call itself waits. Raises what the answer stands for, and ``StoreUnavailable``.
        """
        body = None if said is None else msgspec.json.encode(said)
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._patience_seconds, PAUSE_SECONDS
        while True:
            error, asked_to_wait, was_not_done = await self._ask(name, body, wait_seconds, params)
            if isinstance(error, bytes):
                return self._read(error, answer)
            wait = max(pause, min(asked_to_wait, RETRY_AFTER_SECONDS_MAX))
            may_repeat = asked_to_wait >= 0 and (is_repeatable or was_not_done)
            if not may_repeat or loop.time() + wait > until:
                raise error
            await asyncio.sleep(wait)
            pause = min(pause * 2, PAUSE_SECONDS_MAX)

    async def _ask(
        self, name: str, body: bytes | None, wait_seconds: float, params: Mapping[str, str] | None
    ) -> tuple[bytes | JournalError, float, bool]:
        """The answer; or an error, how long to wait before the next try (negative: there is none), and whether nothing
        was done for certain."""
        address = f"{self.url}{BASE}/journal" + (f"/{name}" if name else "")
        timeout = self._http.Timeout(ANSWER_SECONDS + wait_seconds, connect=CONNECT_SECONDS)
        try:
            reply = await self._client.request(
                "GET" if body is None else "POST",
                address,
                content=body,
                params=dict(params or {}),
                headers={} if body is None else {"Content-Type": "application/json"},
                timeout=timeout,
            )
        except self._http.HTTPError as failure:
            was_not_done = isinstance(failure, self._http.ConnectError | self._http.ConnectTimeout)
            return self._away(failure, name, was_not_done), 0.0, was_not_done
        if reply.status_code < 300:
            return reply.content, -1.0, False
        error = error_of(reply.status_code, reply.content, self.url)
        if reply.status_code not in COME_AGAIN:
            return error, -1.0, False
        return error, _seconds(reply.headers.get("Retry-After", "")), reply.status_code in NOT_DONE

    def _away(self, failure: Exception, name: str, was_not_done: bool) -> StoreUnavailable:
        why = str(failure) or type(failure).__name__
        if was_not_done:
            return StoreUnavailable(f"the server at {self.url} cannot be reached ({why}); is keepstep server running?")
        return StoreUnavailable(
            f"the server at {self.url} did not answer {name!r} ({why}); what was asked may have been done"
        )

    def _read(self, body: bytes, answer: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StoreUnavailable(
                f"{self.url} answers in a form that is not known here ({error}); bring client and server to versions "
                "that are closer to each other"
            ) from error

    @asynccontextmanager
    async def watch(self, mark: str) -> AsyncIterator[AsyncIterator[str]]:
        """Lines of the live changes, from a mark on. Raises what the answer stands for, and ``StoreUnavailable``."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": mark} if mark else {})
        timeout = self._http.Timeout(CONNECT_SECONDS, read=SILENCE_SECONDS_MAX)
        params = {"pause": f"{CHANGES_PAUSE_SECONDS:g}"}
        try:
            async with self._client.stream(
                "GET", f"{self.url}{BASE}/changes", headers=headers, timeout=timeout, params=params
            ) as reply:
                if reply.status_code >= 300:
                    raise error_of(reply.status_code, await reply.aread(), self.url)
                yield reply.aiter_lines()
        except self._http.HTTPError as failure:
            raise self._away(failure, "changes", True) from failure


def _seconds(text: str) -> float:
    """Of ``Retry-After``; a date, which no server of Keepstep sends, is passed over."""
    return float(text) if text.isdigit() and len(text) < 6 else 0.0
