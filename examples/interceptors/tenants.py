"""Two interceptors: one that carries a context, and one that stands around every workflow."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import keepstep
from keepstep import Executing, Interceptor, Retry, Running, Sending, StepFailed, step, workflow

TENANT: ContextVar[str] = ContextVar("TENANT")
"""For whom something is done: set by the web application for each request, and by ``Tenants`` for each step."""


class Tenants(Interceptor):
    """For whom a run is started, its steps are executed, wherever and whenever that is."""

    async def send(self, call: Sending, call_next: Any) -> Any:
        if call.kind == "start":
            call.headers["tenant"] = TENANT.get()
        return await call_next(call)

    async def execute(self, call: Executing, call_next: Any) -> Any:
        token = TENANT.set(call.headers["tenant"])
        try:
            return await call_next(call)
        finally:
            TENANT.reset(token)


class Apologies(Interceptor):
    """Whatever fails for good in any workflow, somebody is told before the run fails."""

    async def run(self, call: Running, call_next: Any) -> Any:
        try:
            return await call_next(call)
        except StepFailed as error:
            if call.kind == "workflow":
                await tell_tenant(f"{keepstep.info().workflow_id}: {error.__cause__}")
            raise


told: list[str] = []


@step
async def tell_tenant(what: str) -> None:
    """Say something to the tenant; here, into a list."""
    told.append(f"to {TENANT.get()}: {what}")


@step(retry=Retry(max_attempts=1))
def label_goods(order: str) -> str:
    """A plain function on a thread, which has the context, too."""
    if not order:
        raise ValueError("there is nothing to ship")
    return f"label of {TENANT.get()} for {order}"


@step(queue="warehouse")
async def pack_goods(order: str) -> str:
    """Executed by whoever serves the queue."""
    return f"{order} packed for {TENANT.get()}"


@workflow
async def serve_order(order: str) -> list[str]:
    return [await label_goods(order), await pack_goods(order)]


INTERCEPTORS = [Tenants(), Apologies()]
