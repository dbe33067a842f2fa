"""App: the one ASGI application of a server: the REST API, callbacks, health, metrics, and the web UI.

It can be run by ``keepstep server``, or stand in a program of one's own: ``app.mount("/keepstep", server_app(...))``.

Paths of the API are matched as they were sent, still percent-encoded, so that an id may have any sign in it, ``/`` too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from urllib.parse import quote

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.routing import Route as Address
from starlette.types import ASGIApp, Receive, Scope, Send

from keepstep.client.access import Role
from keepstep.journal import JournalError

from .api import BASE, ROUTES
from .callbacks import answer_nobody, callback_routes
from .desk import Desk
from .document import describe_api
from .endpoint import Endpoint
from .engines import Engines
from .guard import Guard
from .metrics import metrics_routes
from .refusal import Refusal, refusal_of
from .signing import Signatures
from .ui import ui_routes


def server_app(engines: Engines, guard: Guard | None = None, signatures: Signatures | None = None) -> Starlette:
    """The application that serves the runs of these engines. Its ``state.desk`` is to be closed before it stops.

    :param guard: who may do what; by default everybody may do everything, as is right where whatever stands before the
        application has asked who they are.
    :param signatures: that webhooks must have which are posted to ``/callbacks/{token}``.
    """
    desk = Desk(engines, guard or Guard())
    app = Starlette(
        routes=[
            *_api(desk),
            *callback_routes(engines.first, signatures),
            *_log_in(desk.guard),
            Address("/healthz", healthz, methods=["GET"]),
            Address("/readyz", _readyz(engines), methods=["GET"]),
            *(_guarded(each, desk) for each in metrics_routes(engines.first)),
            *ui_routes(),
        ],
        middleware=[Middleware(_AsSent)],
        exception_handlers={ClientDisconnect: answer_nobody},
    )
    app.router.redirect_slashes = False
    app.state.desk = desk
    return app


def _log_in(guard: Guard) -> list[BaseRoute]:
    if guard.provider is None:
        return []
    from .oidc.login import log_in_routes

    return log_in_routes(guard)


def _api(desk: Desk) -> list[BaseRoute]:
    paths = dict.fromkeys(route.path for route in ROUTES)
    endpoints = {path: Endpoint(desk, [each for each in ROUTES if each.path == path], BASE) for path in paths}
    return [
        Address(f"{BASE}/openapi.json", _document, methods=["GET"]),
        *(Address(BASE + path, endpoint) for path, endpoint in endpoints.items()),
        Address(f"{BASE}/{{rest:path}}", _nowhere),
    ]


@cache
def _description() -> bytes:
    return msgspec.json.encode(describe_api(ROUTES, BASE))


async def _document(_: Request) -> Response:
    return Response(_description(), media_type="application/json")


async def _nowhere(_: Request) -> Response:
    refusal = Refusal(404, "not_found", f"there is nothing at this address; {BASE}/openapi.json names all that are")
    return Response(refusal.body(), 404, media_type="application/json")


async def healthz(_: Request) -> Response:
    """This process answers."""
    return PlainTextResponse("ok\n")


def _readyz(engines: Engines) -> Callable[[Request], Awaitable[Response]]:
    async def readyz(_: Request) -> Response:
        """The database answers, too."""
        try:
            await engines.first.journal.list_attributes(engines.first.namespace)
        except JournalError:
            return PlainTextResponse("the database cannot be used now\n", 503)
        return PlainTextResponse("ok\n")

    return readyz


def _guarded(route: Address, desk: Desk) -> Address:
    """An address that is no call of the API, for those who may read."""

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            namespace = desk.engines.first.namespace
            await desk.guard.admit(dict(scope["headers"]), Role.READ, namespace, is_safe=True)
        except Exception as error:
            refusal = refusal_of(error)
            answer = Response(refusal.body(), refusal.status, refusal.headers, "application/json")
            await answer(scope, receive, send)
            return
        await route.app(scope, receive, send)

    return Address(route.path, _Application(ask), methods=["GET"])


class _Application:
    """An ASGI application that a route takes for one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _AsSent:
    """Has addresses of the API matched as they were sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{scope.get('root_path', '')}{BASE}/"):
            sent = scope.get("raw_path") or quote(scope["path"]).encode()
            scope = {**scope, "path": sent.decode("ascii", "replace")}
        await self._app(scope, receive, send)
