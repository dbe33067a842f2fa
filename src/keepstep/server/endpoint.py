"""Endpoint: one address of the API as an ASGI application. It reads, checks, has a route answer, and writes.

Whatever goes wrong on the way is an answer of the documented form (``refusal``); what a caller sends never ends in
status 500. A body is read no further than the limit, and waited for no longer than ``BODY_SECONDS_MAX``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from keepstep.codecs.witness import witnessing
from keepstep.journal import TooLarge
from keepstep.journal.namespace import DEFAULT

from .audit import AuditLine
from .call import Call
from .desk import Desk
from .refusal import Refusal, misfit, refusal_of
from .route import Query, Route

BODY_SECONDS_MAX = 30.0

QUERY_BYTES_MAX = 64 * 1024
QUERY_FIELDS_MAX = 50

Headers = list[tuple[bytes, bytes]]


class CallerGone(Exception):
    """The caller hung up; nobody reads an answer."""


class Endpoint:
    """All methods of one path. ``base`` stands before every path of the API."""

    def __init__(self, desk: Desk, routes: Sequence[Route], base: str) -> None:
        self._desk = desk
        self._base = base
        self._routes = {route.method: route for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = AuditLine(scope)
        try:
            status, headers, body = await self._answer(scope, receive, line)
            if not isinstance(body, bytes):
                line.write(status)
                await body(scope, receive, send)
                return
        except CallerGone:
            return
        except Exception as error:
            refusal = refusal_of(error)
            line.caller = line.caller or refusal.caller
            status, body = refusal.status, refusal.body()
            headers = [_JSON, *((name.lower().encode(), text.encode()) for name, text in refusal.headers.items())]
        line.write(status)
        headers += [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope, receive: Receive, line: AuditLine) -> tuple[int, Headers, bytes | ASGIApp]:
        route = self._routes.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if route is None:
            allowed = ", ".join(self._routes)
            message = f"this address takes {allowed}, not {scope['method']}"
            raise Refusal(405, "method_not_allowed", message, headers={"Allow": allowed})
        line.route = route
        fields = read_fields(scope["query_string"])
        line.namespace = fields.get("namespace", DEFAULT)
        named = {name: read_text(text, name) for name, text in scope["path_params"].items()}
        async with self._desk.admit(scope, route, line.namespace) as (acting, engine, caller):
            line.caller = caller
            given: dict[str, Any] = {**named, "query": read_query(fields, route.query)}
            if route.body is not None:
                given["body"] = decode_body(await read_body(scope, receive, route.body_bytes_max), route.body)
            call = Call(self._desk, acting, engine, caller, scope)
            with witnessing() as witness:
                answer = await route.handle(call, **given)
            line.caller, line.decoded = call.caller, witness.opened if call.decodes else 0
        if not route.is_json:
            return route.statuses[0], [], cast(ASGIApp, answer)
        return call.status or route.statuses[0], self._headers(call), msgspec.json.encode(answer)

    def _headers(self, call: Call) -> Headers:
        headers = [_JSON]
        if call.location:
            headers.append((b"location", f"{call.root_path}{self._base}{call.location}".encode()))
        if call.cookie:
            headers.append((b"set-cookie", call.cookie.encode()))
        return headers


_JSON = (b"content-type", b"application/json")


def read_text(text: str, name: str) -> str:
    """A part of a path, as it was before it was put into one. Raises ``Refusal``."""
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Refusal(400, "invalid_input", f"{name} in the address is no UTF-8 text", field=name) from None
    return _checked(decoded, name)


def _checked(text: str, name: str) -> str:
    """No name of anything has this sign, and not every store takes it."""
    if "\0" in text:
        raise Refusal(400, "invalid_input", f"{name} in the address has the sign of code 0 in it", field=name)
    return text


def read_fields(text: bytes) -> dict[str, str]:
    """What stands behind the ``?``, by name. Raises ``Refusal``."""
    if not text:
        return {}
    if len(text) > QUERY_BYTES_MAX:
        raise Refusal(413, "too_large", f"the query has {len(text)} bytes; at most it may have {QUERY_BYTES_MAX}")
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX
        )
    except ValueError as error:
        raise Refusal(400, "invalid_input", f"the query cannot be read: {error}") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise Refusal(400, "invalid_input", f"the query has {name!r} more than once", field=name)
        fields[name] = _checked(value, name)
    return fields


def read_query(fields: dict[str, str], kind: type[Query]) -> Query:
    """The fields as what they must be. Raises ``Refusal``."""
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise misfit(error, "the query") from None


def decode_body(body: bytes, kind: Any) -> Any:
    """The body as what it must be; none at all is an empty object. Raises ``Refusal``."""
    try:
        return msgspec.json.decode(body if body.strip() else b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise misfit(error, "the body") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "invalid_input", f"the body must be JSON: {error}") from None
    except RecursionError:
        raise Refusal(400, "invalid_input", "the body is nested too deeply") from None


async def read_body(scope: Scope, receive: Receive, bytes_max: int) -> bytes:
    """The body, read no further than the limit. Raises ``Refusal``, ``TooLarge``, ``CallerGone``."""
    declared = _length(dict(scope["headers"]))
    if declared > bytes_max:
        raise _too_large(declared, bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise CallerGone
                body += message.get("body", b"")
                if len(body) > bytes_max:
                    raise _too_large(len(body), bytes_max)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refusal(408, "body_timeout", f"the body did not come within {BODY_SECONDS_MAX:g} s") from None


def _too_large(size: int, bytes_max: int) -> TooLarge:
    return TooLarge(f"the body has {size} bytes or more; at most it may have {bytes_max}")


def _length(headers: Mapping[bytes, bytes]) -> int:
    text = headers.get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 20 else 0
