"""The world as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx2
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .books import Books
from .carrier import Carrier
from .front_door import Caller, FrontDoor
from .later import Agenda
from .mailer import Mailer
from .mischief import Mischief
from .payment import PaymentGateway
from .pickers import Pickers
from .plan import Plan
from .request import Asked, Department
from .warehouse import Warehouse
from .webhooks import Webhooks


def make_app(plan: Plan, books: Books) -> Starlette:
    """Builds the whole world over one set of books."""
    mischief, agenda = Mischief(plan.seed), Agenda()
    client = httpx2.AsyncClient(timeout=5.0)
    webhooks = Webhooks(books, mischief, agenda, client, plan.doors)
    departments: dict[str, Department] = {
        **PaymentGateway(books, mischief, plan, agenda, webhooks).doors(),
        **Warehouse(books).doors(),
        **Carrier(books, mischief, plan, agenda, webhooks).doors(),
        **Pickers(books, mischief, plan, agenda, webhooks).doors(),
        **Mailer(books).doors(),
    }
    front_door = FrontDoor(books, mischief, plan, departments)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield
            await agenda.drop()

    routes = [Route(endpoint, _receive(front_door), methods=["POST"]) for endpoint in departments]
    return Starlette(routes=[*routes, *_observation(books, front_door)], lifespan=lifespan)


def _receive(front_door: FrontDoor) -> Callable[[Request], Awaitable[Response]]:
    async def receive(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=Asked)
        except msgspec.DecodeError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        headers = request.headers
        if not headers.get("Idempotency-Key"):
            return JSONResponse({"error": "the header Idempotency-Key is missing"}, status_code=400)
        caller = Caller(headers["Idempotency-Key"], int(headers.get("Attempt", "1")), headers.get("Worker", ""))
        answer = await front_door.handle(request.url.path, asked, caller)
        return JSONResponse(answer.body, status_code=answer.status)

    return receive


def _observation(books: Books, front_door: FrontDoor) -> list[Route]:
    """How the demo watches the world, and tells it whom it killed."""

    async def watch(_: Request) -> Response:
        return JSONResponse({"totals": dict(books.totals), "requests_open": dict(front_door.requests_open)})

    async def note_kill(request: Request) -> Response:
        killed = await request.json()
        books.add_kill(killed["worker"], killed["requests_open"])
        return JSONResponse({})

    return [Route("/watch", watch), Route("/kills", note_kill, methods=["POST"])]
