"""Audit: a line in the log ``keepstep.audit`` for every call that changes something, or tried to, and for every one by
which somebody was shown what is encrypted.

Log-ins, log-outs and callbacks are among them. The line has who called, what, where, from which address, and what came
of it; with ``--log-format json`` each of them is a field of its own. It has no values, no keys and no tokens.
"""

from __future__ import annotations

import logging

from starlette.types import Scope

from keepstep.journal import InvalidInput
from keepstep.runtime.callback import parse_token

from .caller import Caller
from .route import Route

logger = logging.getLogger("keepstep.audit")

UNKNOWN = "unknown"
"""Who calls and was not let in."""


class AuditLine:
    """What is known of a call while it is answered."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.route: Route | None = None
        self.caller: Caller | None = None
        self.namespace = ""
        self.decoded = 0
        """How many encrypted values were opened for the caller."""

    def write(self, status: int) -> None:
        """It was answered."""
        if self.route is not None and (self.route.changes or self.decoded):
            _write(self._scope, self.route.name, self.caller, self.namespace, status, self.decoded)


def record_log_in(scope: Scope, caller: Caller | None, status: int) -> None:
    """Somebody has come back from the identity provider."""
    _write(scope, "log_in", caller, "", status)


def record_callback(scope: Scope, status: int) -> None:
    """Somebody has called back, who has shown a token and perhaps a signature."""
    _write(scope, "callback", None, "", status)


def _write(scope: Scope, call: str, caller: Caller | None, namespace: str, status: int, decoded: int = 0) -> None:
    client = scope.get("client")
    fields = {
        "caller": UNKNOWN if caller is None else caller.name,
        "subject": "" if caller is None else caller.subject,
        "call": call,
        "address": _address(scope),
        "in_namespace": namespace,
        "client": client[0] if client else "",
        "status": status,
        "decoded": decoded,
    }
    logger.info(
        "%(caller)s: %(call)s at %(address)s in namespace %(in_namespace)r, from %(client)s: %(status)d"
        + (", %(decoded)d encrypted values opened" if decoded else ""),
        fields,
        extra=fields,
    )


def _address(scope: Scope) -> str:
    """What was asked for. A token in it is all that it takes to complete a callback: its run is said in its place."""
    path, token = str(scope["path"]), str(scope.get("path_params", {}).get("token", ""))
    if not token:
        return path
    try:
        run_id = parse_token(token)[0]
    except InvalidInput:
        run_id = "nobody"
    return path.replace(token, f"(token of {run_id})")
