"""Refusal: what every error is over HTTP: a status, a code for programs, and one line that says what to do.

========================================================  ===  ==============================
the query, the body or a header is not as documented      400  invalid_input
no key, or one that nobody knows                          401  unauthenticated
the key may not do that, or not there                     403  forbidden
there is no such run, schedule …, or address              404  not_found
an address that does not take this method                 405  method_not_allowed
the body did not come to its end in time                  408  body_timeout
a run of that id exists already with another input        409  already_started
it was changed by somebody else meanwhile                 409  conflict
nobody is there who could answer                          409  no_worker
the run's code does not fit its history                   409  blocked
it is sealed with a key that is not here                  409  unreadable
the run has ended                                         410  run_closed
a value or a body is over its limit                       413  too_large
a handler of the run raised an error, or said no          422  query_failed, update_failed, update_rejected
there is more to do than can be done, with Retry-After    429  overloaded
the database is away, with Retry-After                    503  unavailable
nobody has answered in time                               504  timed_out
========================================================  ===  ==============================
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import msgspec

from keepstep.journal import (
    AlreadyStarted,
    AttributeRefused,
    Conflict,
    Fenced,
    InvalidInput,
    NotFound,
    Overloaded,
    RunClosed,
    StoreUnavailable,
    TooLarge,
    Unreadable,
    Unsupported,
)
from keepstep.runtime.errors import Blocked, NoWorker, QueryFailed, TimedOut, UpdateFailed, UpdateRejected
from keepstep.search import FilterError

from .caller import Caller

logger = logging.getLogger("keepstep.server")

RETRY_AFTER_SECONDS = 2


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was wrong."""

    code: str
    message: str
    field: str = ""
    """Which part of the query or the body it is about."""
    position: int = 0
    """Where in that text it is wrong, counted from 1."""
    kind: str = ""
    """The library's own error, where the code stands for several."""


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every answer that is no success."""

    error: ErrorDetail


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str = "",
        position: int = 0,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
        caller: Caller | None = None,
    ) -> None:
        """``caller``: who is refused, for the audit log, where that is known."""
        super().__init__(message)
        self.status = status
        self.caller = caller
        self.detail = ErrorDetail(code=code, message=message, field=field, position=position, kind=kind)
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """As it is sent."""
        return msgspec.json.encode(ErrorBody(self.detail))


_KNOWN: tuple[tuple[type[Exception], int, str], ...] = (
    (TooLarge, 413, "too_large"),
    (InvalidInput, 400, "invalid_input"),
    (NotFound, 404, "not_found"),
    (RunClosed, 410, "run_closed"),
    (AlreadyStarted, 409, "already_started"),
    (Conflict, 409, "conflict"),
    (Fenced, 409, "conflict"),
    (NoWorker, 409, "no_worker"),
    (Blocked, 409, "blocked"),
    (Unreadable, 409, "unreadable"),
    (QueryFailed, 422, "query_failed"),
    (UpdateFailed, 422, "update_failed"),
    (UpdateRejected, 422, "update_rejected"),
    (TimedOut, 504, "timed_out"),
)
"""The first that fits counts."""


def refusal_of(error: Exception) -> Refusal:
    """What a caller is told of an error. One that was not foreseen is logged, and not shown."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, FilterError):
        return Refusal(400, "invalid_input", str(error), field="filter", position=error.position)
    if isinstance(error, Overloaded):
        return overloaded(str(error))
    if isinstance(error, StoreUnavailable):
        logger.warning("a call could not be answered: %s", error)
        return unavailable()
    for known, status, code in _KNOWN:
        if isinstance(error, known):
            kind = type(error).__name__ if isinstance(error, AttributeRefused | Unsupported) else ""
            return Refusal(status, code, _one_line(error), kind=kind)
    logger.error("a call failed in a way that was not foreseen", exc_info=error)
    return Refusal(500, "unexpected", "this was not foreseen; the server's log says more")


def overloaded(why: str) -> Refusal:
    """There is more to do than can be done."""
    return Refusal(429, "overloaded", why, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def unavailable() -> Refusal:
    """The database is away."""
    message = "the database cannot be used now; try again later"
    return Refusal(503, "unavailable", message, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


_PATH = re.compile(r" - at `\$\.?(?P<path>.*)`$")


def misfit(error: Exception, what: str) -> Refusal:
    """Of a query or body (``what``) that does not have the documented form."""
    text = str(error)
    found = _PATH.search(text)
    field = found["path"] if found else ""
    reason = _PATH.sub("", text).replace("`", "'")
    where = f"{what}, {field}" if field else what
    return Refusal(400, "invalid_input", f"{where}: {reason}", field=field)


def _one_line(error: Exception) -> str:
    """With what it was caused by, where that is a handler's own error."""
    said = str(error)
    cause = error.__cause__
    if isinstance(error, QueryFailed | UpdateFailed | UpdateRejected) and cause is not None and str(cause) not in said:
        return f"{said}: {cause}"
    return said
