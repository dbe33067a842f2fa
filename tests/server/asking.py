"""A client of the API that holds every answer against the API's own document, and waits for what must come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec

from keepstep.client.engine import Engine
from keepstep.runtime.data.schema import check
from keepstep.server.api import BASE, ROUTES
from keepstep.server.app import server_app
from keepstep.server.document import describe_api
from keepstep.server.engines import Engines

DOCUMENT = msgspec.json.decode(msgspec.json.encode(describe_api(ROUTES, BASE)))


class Api:
    """``await api.get("/runs")``: below the base, and held against the document."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        answer = await self.client.request(method, BASE + path, **options)
        check_against_document(answer)
        return answer

    async def get(self, path: str, **params: Any) -> Any:
        """The body of a success."""
        answer = await self.ask("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, **params: Any) -> Any:
        """The body of a success."""
        content = None if body is None else msgspec.json.encode(body)
        answer = await self.ask("POST", path, content=content, params=params)
        assert answer.status_code in (200, 201, 202), answer.text
        return answer.json()

    async def refusal(self, method: str, path: str, **options: Any) -> tuple[int, str, str]:
        """Status, code and message of an answer that is no success."""
        answer = await self.ask(method, path, **options)
        assert answer.status_code >= 400, answer.text
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"]


@asynccontextmanager
async def api_of(engine: Engine, **options: Any) -> AsyncIterator[Api]:
    """The API over an engine, in this process. Errors that it does not turn into answers are raised."""
    transport = httpx2.ASGITransport(app=server_app(Engines(engine), **options))  # as who calls from this machine
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8710") as client:
        yield Api(client)


def check_against_document(answer: httpx2.Response) -> None:
    """That such an answer is in the document. Raises ``Misfit``, ``AssertionError``."""
    path = answer.request.url.raw_path.split(b"?")[0].decode()
    method = answer.request.method.lower()
    operation = next((each[method] for fits, each in _PATHS if fits(path) and method in each), None)
    if operation is None:
        assert answer.status_code in (404, 405)
        schema: dict[str, Any] = {"$ref": "#/components/schemas/ErrorBody"}
    else:
        assert str(answer.status_code) in operation["responses"], (method, path, answer.status_code, answer.text)
        content = operation["responses"][str(answer.status_code)]["content"]
        media = answer.headers["content-type"]
        assert media in content
        schema = content[media]["schema"]
    check(answer.json(), schema, DOCUMENT)


def _fits(template: str) -> Callable[[str], bool]:
    wanted = template.split("/")

    def fits(path: str) -> bool:
        parts = path.split("/")
        return len(parts) == len(wanted) and all(
            one == other or one.startswith("{") for one, other in zip(wanted, parts, strict=True)
        )

    return fits


_PATHS = [(_fits(path), operations) for path, operations in DOCUMENT["paths"].items()]


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What ``look`` gives, once it gives something."""
    while not (found := await look()):
        await asyncio.sleep(0.002)
    return found
