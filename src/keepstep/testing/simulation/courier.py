"""Courier: the interceptor of stories with headers. Whoever is called can tell who has called, and what for."""

from __future__ import annotations

from typing import Any

from keepstep.runtime.interceptor import Calling, CallNext, Interceptor, Sending

CUSTOMER, CALL = "customer", "call"
"""Headers: the workflow id of what a client has started, and the key of the step that goes with it alone."""


class Courier(Interceptor):
    """See the module's docstring."""

    async def send(self, call: Sending, call_next: CallNext[Sending]) -> Any:
        if call.kind == "start":
            call.headers[CUSTOMER] = call.workflow_id or ""
        return await call_next(call)

    async def call(self, call: Calling, call_next: CallNext[Calling]) -> Any:
        call.headers[CALL] = call.key
        return await call_next(call)
