"""The callback listener: webhooks are posted to ``/callbacks/{token}`` of any process, for any run of the database.

========================================  ======
the callback is completed, or was already  200
the body is no JSON                        400
the answer does not fit a task's form      400
it is not signed, wrongly, or not just now 401
it was sent for another callback before    409
no run has made this token                 404
the run ended before the callback came     410
the body does not come to its end          408
the body is over the payload limit         413
the store is overloaded or away            503, with Retry-After
any method but POST                        405
========================================  ======

Where there are secrets, every webhook has to be signed with one of them (``signing``).
"""

from __future__ import annotations

import asyncio
import logging

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from keepstep.client.engine import Engine
from keepstep.journal import InvalidInput, JournalError, NotFound, RunClosed, TooLarge
from keepstep.journal.limits import PAYLOAD_BYTES_MAX
from keepstep.runtime.callback import parse_token

from .audit import record_callback
from .metrics import metrics_routes
from .signing import Signatures, Unsigned

logger = logging.getLogger("keepstep.server")

RETRY_AFTER_SECONDS = 2
BODY_SECONDS_MAX = 30.0
"""So long a body may take to come; a caller that goes silent does not keep its place for ever."""

UNKNOWN = "no run has made this callback token"


def callback_app(
    engine: Engine, *, signatures: Signatures | None = None, body_seconds_max: float = BODY_SECONDS_MAX
) -> Starlette:
    """An ASGI application that completes callbacks through ``engine``; :param signatures: that these must have."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(
        routes=[
            *callback_routes(engine, signatures, body_seconds_max=body_seconds_max),
            Route("/healthz", healthz, methods=["GET"]),
            *metrics_routes(engine),
        ],
        exception_handlers={ClientDisconnect: answer_nobody},
    )


def callback_routes(
    engine: Engine, signatures: Signatures | None = None, *, body_seconds_max: float = BODY_SECONDS_MAX
) -> list[Route]:
    """The address of callbacks alone."""

    async def complete(request: Request) -> Response:
        answer = await answer_to(request)
        record_callback(request.scope, answer.status_code)
        return answer

    async def answer_to(request: Request) -> Response:
        try:
            async with asyncio.timeout(body_seconds_max):
                body = await _limited_body(request)
            if signatures is not None:
                signatures.check(request.headers, body, request.path_params["token"])
            value = msgspec.json.decode(body) if body.strip() else None
        except TimeoutError:
            return _refusal(408, f"the body did not come within {body_seconds_max:g} s")
        except TooLarge as error:
            return _refusal(413, str(error))
        except Unsigned as error:
            return _unsigned(error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _refusal(400, f"the body must be JSON: {error}")
        return await _complete(engine, request.path_params["token"], value)

    return [Route("/callbacks/{token}", complete, methods=["POST"])]


async def _limited_body(request: Request) -> bytes:
    """The body, read no further than the limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > PAYLOAD_BYTES_MAX:
            raise TooLarge(f"the body has more than {PAYLOAD_BYTES_MAX} bytes")
    return bytes(body)


async def _complete(engine: Engine, token: str, value: object) -> Response:
    try:
        parse_token(token)
    except InvalidInput:
        return _refusal(404, UNKNOWN)
    try:
        await engine.complete_callback(token, value)
    except RunClosed:
        return _refusal(410, "the run has ended")
    except TooLarge as error:
        return _refusal(413, str(error))
    except NotFound:
        return _refusal(404, UNKNOWN)
    except InvalidInput as error:
        return _refusal(400, str(error))
    except JournalError as error:
        logger.warning("a callback could not be completed: %s", error)
        return _refusal(503, "try again later", {"Retry-After": str(RETRY_AFTER_SECONDS)})
    return JSONResponse({"completed": True})


def _unsigned(error: Unsigned) -> Response:
    logger.warning("a callback was not taken: %s", error)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if error.status == 503 else None
    return _refusal(error.status, str(error), headers)


def _refusal(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"completed": False, "error": reason}, status, headers)


async def answer_nobody(_: Request, __: Exception) -> Response:
    """The caller hung up before its request was complete; nobody reads this answer."""
    return Response(status_code=400)
