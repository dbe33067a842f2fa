"""The web application: the engine lives as long as the application does, on the same event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from keepstep import AlreadyStarted, Engine, HumanTask, InvalidInput, NotFound, RunClosed, TimedOut

from .expenses import Answer, Decision, Expense, reimburse


def create_app(url: str) -> FastAPI:
    """The application. Each server process has an engine of its own, opened when the server begins."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Engine(url) as engine:
            app.state.engine = engine
            yield

    app = FastAPI(title="Expenses", lifespan=lifespan)

    @app.put("/expenses/{id}", status_code=202)
    async def hand_in(id: str, expense: Expense, engine: TheEngine) -> dict[str, str]:
        """Handed in twice under one id, it is one expense."""
        run = await engine.start(reimburse, expense, id=id)
        return {"id": run.id}

    @app.get("/expenses/{id}")
    async def look(id: str, engine: TheEngine, wait: float = 0.0) -> Answer | dict[str, str]:
        """What has come of it; if nothing has, after waiting for so many seconds, where it stands."""
        run = engine.get(id)
        try:
            answer: Answer = await run.result(timeout=wait)
        except TimedOut:
            return {"status": (await run.describe()).status_text or "running"}
        return answer

    @app.get("/decisions")
    async def list_decisions(engine: TheEngine) -> list[dict[str, str]]:
        """What waits for a manager, with the token that answers it."""
        return [_shown(task) async for task in engine.human_tasks("assignee = 'manager'")]

    @app.post("/decisions/{token}", status_code=204)
    async def decide(token: str, decision: Decision, engine: TheEngine) -> None:
        await engine.complete_callback(token, decision)

    for error, code in ((NotFound, 404), (InvalidInput, 404), (RunClosed, 409), (AlreadyStarted, 409)):
        app.add_exception_handler(error, partial(_say, code))
    return app


def _say(code: int, request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, code)


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


def _shown(task: HumanTask) -> dict[str, str]:
    return {"title": task.title, "token": task.token}


TheEngine = Annotated[Engine, Depends(_engine)]
