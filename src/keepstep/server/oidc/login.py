"""Login: the two addresses that a browser is sent to: ``/login/oidc``, which sends it on to the provider, and
``/login/oidc/callback``, to which the provider sends it back with a code.

Whatever fails is a page that says why and leads back; what the provider or the browser says is not repeated on it.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from keepstep.journal import JournalError
from keepstep.server.audit import record_log_in
from keepstep.server.caller import Caller
from keepstep.server.cookie import LOG_IN, SESSION, Headers, read_cookie, write_cookie
from keepstep.server.guard import Guard
from keepstep.server.refusal import Refusal, refusal_of
from keepstep.server.sessions import Sessions

from . import pending
from .provider import Provider
from .refusing import Refused, Unreachable

logger = logging.getLogger("keepstep.server")

TEXT_CHARS_MAX = 4000


def log_in_routes(guard: Guard) -> list[BaseRoute]:
    """None where no provider is set up."""
    if guard.provider is None or guard.sessions is None:
        return []
    login = Login(guard, guard.provider, guard.sessions)
    return [
        Route("/login/oidc", login.begin, methods=["GET"]),
        Route("/login/oidc/callback", login.end, methods=["GET"]),
    ]


class Login:
    """See the module."""

    def __init__(self, guard: Guard, provider: Provider, sessions: Sessions) -> None:
        self._guard = guard
        self._provider = provider
        self._sessions = sessions
        self._random_bytes: Callable[[int], bytes] = sessions.random_bytes

    async def begin(self, request: Request) -> Response:
        """Send a browser to the provider."""
        begun = pending.begin(self._random_bytes, request.query_params.get("next", ""))
        try:
            address = await self._provider.address_of_log_in(begun.state, begun.nonce, begun.verifier)
        except Unreachable as error:
            logger.warning("nobody can log in now: %s", error)
            return self._page(503, "The identity provider cannot be reached now. Try again in a while.", retry=True)
        answer = RedirectResponse(address, 302)
        self._set_pending(answer, begun.write())
        return self._closed(answer)

    async def end(self, request: Request) -> Response:
        """A browser comes back."""
        client = request.client.host if request.client else ""
        try:
            self._guard.attempts.check(client)
            caller, next = await self._who(request)
            headers: Headers = dict(request.scope["headers"])
            await self._sessions.end(read_cookie(headers, SESSION))
            text = await self._sessions.begin(caller.name, subject=caller.subject, grants=caller.grants)
        except Refused as error:
            self._guard.attempts.fail(client)
            record_log_in(request.scope, None, 401)
            logger.info("a log-in was refused: %s", error)
            return self._page(401, f"You are not logged in: {error}.", retry=True)
        except _NothingToDo as error:
            record_log_in(request.scope, error.caller, 403)
            return self._page(403, f"You are known as {error.caller.name}, but none of your groups has a role here.")
        except Unreachable as error:
            logger.warning("somebody could not log in: %s", error)
            return self._page(503, "The identity provider cannot be reached now. Try again in a while.", retry=True)
        except (Refusal, JournalError) as error:
            refusal = refusal_of(error)
            return self._page(refusal.status, f"You are not logged in: {refusal}.", retry=True)
        record_log_in(request.scope, caller, 200)
        answer = RedirectResponse(self._provider.settings.public_url.rstrip("/") + "/" + next, 303)
        settings = self._provider.settings
        cookie = write_cookie(
            SESSION, text, path=settings.path, is_secure=settings.is_secure, seconds=self._sessions.seconds_max
        )
        answer.headers.append("set-cookie", cookie)
        self._set_pending(answer, "")
        return self._closed(answer)

    async def _who(self, request: Request) -> tuple[Caller, str]:
        """Who has logged in, and the page to go on with. Raises ``Refused``, ``Unreachable``, ``_NothingToDo``."""
        said = {name: text for name, text in request.query_params.items() if len(text) <= TEXT_CHARS_MAX}
        begun = pending.read(read_cookie(dict(request.scope["headers"]), LOG_IN))
        begun.check(said.get("state", ""))
        description = await self._provider.describe()
        issuer = said.get("iss")
        if issuer != description.issuer and (
            issuer is not None or description.authorization_response_iss_parameter_supported
        ):
            raise Refused("another issuer has answered")
        if "error" in said or not said.get("code"):
            raise Refused("the provider has refused it")
        caller = await self._provider.exchange(said["code"], begun.verifier, begun.nonce)
        if not caller.grants:
            raise _NothingToDo(caller)
        return caller, begun.next

    def _set_pending(self, answer: Response, value: str) -> None:
        """With ``Lax``, because it is the provider's page that leads back here."""
        settings = self._provider.settings
        seconds = pending.SECONDS_MAX if value else 0
        cookie = write_cookie(
            LOG_IN, value, path=settings.path, is_secure=settings.is_secure, seconds=seconds, same_site="Lax"
        )
        answer.headers.append("set-cookie", cookie)

    def _page(self, status: int, message: str, *, retry: bool = False) -> Response:
        again = "Try again" if retry else "To the first page"
        back = html.escape(self._provider.settings.path, quote=True)
        answer = HTMLResponse(_PAGE.format(message=html.escape(message), back=back, again=again), status)
        self._set_pending(answer, "")
        return self._closed(answer)

    def _closed(self, answer: Response) -> Response:
        """Kept by nobody, and telling nobody where it came from: its address has a code in it."""
        answer.headers["cache-control"] = "no-store"
        answer.headers["referrer-policy"] = "no-referrer"
        answer.headers["content-security-policy"] = "default-src 'none'; frame-ancestors 'none'"
        return answer


class _NothingToDo(Exception):
    """Somebody is known, and may do nothing here."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller.name)
        self.caller = caller


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Keepstep: log in</title>
<body>
<h1>Keepstep</h1>
<p role="alert">{message}</p>
<p><a href="{back}">{again}</a></p>
"""
