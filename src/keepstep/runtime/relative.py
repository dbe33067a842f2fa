"""Relatives: other runs, as workflow code speaks to them.

What is said travels in the commit that records that it was said: exactly once, whatever crashes. It is said to the
newest run of that id. Whether there is one is looked up right before; should it close in between, it never hears of it,
as if it had closed a moment later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keepstep.journal.limits import WORKFLOW_ID_CHARS_MAX

from .call import DurableCall, made, required
from .data import checked_name, encode_value, plain_text, within_limit
from .execution import digest_of
from .handler import Signal, handler_name
from .loop import WorkflowFuture
from .operation import MessageOperation

if TYPE_CHECKING:
    from .execution import Execution


class MessageCall(DurableCall[None]):
    """One message to another run, not yet awaited."""

    __slots__ = ("data", "key", "kind", "name", "workflow_id")

    def __init__(self, execution: Execution, workflow_id: str, kind: str, name: str, data: bytes) -> None:
        super().__init__(execution)
        self.workflow_id = workflow_id
        self.kind = kind
        self.name = name
        self.data = data
        self.key = execution.loop.current_scope().key(f"{kind}_run")

    def begin(self) -> WorkflowFuture:
        digest = digest_of(f"{self.kind} {self.name} {self.workflow_id}", self.data or b"null")
        operation = MessageOperation(
            self.execution, self.key, digest, self.workflow_id, self.kind, self.name, self.data
        )
        self.execution.add(operation)
        return operation.future

    def __repr__(self) -> str:
        return f"<{self.kind} to run {self.workflow_id!r} as {self.key}>"


class OtherRun:
    """The newest run of an id. Both methods raise ``NotFound`` where there is none, and ``RunClosed``."""

    def __init__(self, id: str) -> None:
        self._id = checked_name(id, "the id of a run", WORKFLOW_ID_CHARS_MAX)

    @property
    def id(self) -> str:
        """The workflow id."""
        return self._id

    def __repr__(self) -> str:
        return f"<run {self.id}>"

    def signal(self, name: str | Signal[Any, Any], value: Any = None) -> MessageCall:
        """Send it a signal: ``await keepstep.get_run("cart-7").signal("paid", receipt)``."""
        signal = handler_name(name, "signal")
        execution = required("signal")
        payload = within_limit(encode_value(value), "the value of signal", signal, execution.value_bytes_max)
        return made(MessageCall(execution, self.id, "signal", signal, payload))  # type: ignore[no-any-return]

    def cancel(self, reason: str = "") -> MessageCall:
        """Ask it to stop; it compensates what it has done."""
        told = plain_text(reason, "the reason").encode()
        return made(MessageCall(required("cancel"), self.id, "cancel", "", told))  # type: ignore[no-any-return]


def get_run(id: str) -> OtherRun:
    """Another run, by its workflow id, to signal or cancel it. Raises ``InvalidInput`` for what can be no id."""
    required("get_run")
    return OtherRun(id)
