"""Refusals: the errors that a server's answers stand for, as the port raises them."""

from __future__ import annotations

import msgspec

from keepstep.journal.errors import (
    AccessDenied,
    AlreadyStarted,
    AttributeRefused,
    Conflict,
    InvalidInput,
    JournalError,
    NotFound,
    Overloaded,
    RunClosed,
    StoreUnavailable,
    TooLarge,
    Unreadable,
    Unsupported,
)

_BY_CODE: dict[str, type[JournalError]] = {
    "invalid_input": InvalidInput,
    "unauthenticated": AccessDenied,
    "forbidden": AccessDenied,
    "not_found": NotFound,
    "already_started": AlreadyStarted,
    "conflict": Conflict,
    "run_closed": RunClosed,
    "too_large": TooLarge,
    "unreadable": Unreadable,
    "overloaded": Overloaded,
    "unavailable": StoreUnavailable,
}

_NARROWER: dict[str, type[JournalError]] = {each.__name__: each for each in (AttributeRefused, Unsupported)}
"""By ``kind``: what one code stands for several of."""

COME_AGAIN = (429, 502, 503, 504)
"""Statuses after which the same may be asked again, where that does no harm."""

NOT_DONE = (429,)
"""Of these, what says that nothing has been done."""

EXCERPT_CHARS = 200


class _Detail(msgspec.Struct):
    code: str
    message: str
    kind: str = ""


class _Body(msgspec.Struct):
    error: _Detail


def error_of(status: int, body: bytes, url: str) -> JournalError:
    """What an answer that is no success says. One of something between here and the server is ``StoreUnavailable``."""
    try:
        detail = msgspec.json.decode(body, type=_Body).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        shown = body[:EXCERPT_CHARS].decode("utf-8", "replace").strip()
        return StoreUnavailable(f"{url} answered with status {status} and no word of Keepstep: {shown or 'nothing'}")
    kind = _NARROWER.get(detail.kind) or _BY_CODE.get(detail.code, StoreUnavailable)
    return kind(detail.message)
