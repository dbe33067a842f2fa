"""Callbacks: a token that somebody outside completes, once, with a value or an error.

A token says which run it belongs to and at which key, and carries a code that only the run's secret seed can make. So
any process can receive it, whoever makes one up is turned away, and nothing has to be stored to recognise it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import uuid
from typing import TYPE_CHECKING, Any, TypeVar, overload

from keepstep.journal import InvalidInput

from .call import required
from .crossing import waits_if_sync
from .data import Duration, reader, to_seconds
from .waiting import limited

if TYPE_CHECKING:
    from .operation import CallbackOperation

T = TypeVar("T")

_CODE_BYTES = 12


def make_token(run_id: str, key: str, seed: bytes) -> str:
    """The token of the callback at that key of that run. URL-safe text."""
    raw = uuid.UUID(run_id).bytes + _code(run_id, key, seed) + key.encode()
    return _text_of(raw)


def _text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parse_token(token: str) -> tuple[str, str, bytes]:
    """Run id, key and code of a token. Raises ``InvalidInput`` for text that is no token."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        run_id = str(uuid.UUID(bytes=raw[:16]))
        key = raw[16 + _CODE_BYTES :].decode()
    except (TypeError, ValueError, binascii.Error) as error:
        raise InvalidInput("this is not a callback token of Keepstep") from error
    if not key or _text_of(raw) != token:  # decoding passes over blanks and the like; only one text is the token
        raise InvalidInput("this is not a callback token of Keepstep")
    return run_id, key, raw[16 : 16 + _CODE_BYTES]


def is_genuine(token: str, seed: bytes) -> bool:
    """True if the token was made by the run with that seed."""
    run_id, key, code = parse_token(token)
    return hmac.compare_digest(code, _code(run_id, key, seed))


def _code(run_id: str, key: str, seed: bytes) -> bytes:
    return hashlib.blake2b(f"{run_id}/{key}".encode(), digest_size=_CODE_BYTES, key=seed).digest()


class Callback:
    """A token and a URL to hand out, and the wait for what comes back."""

    def __init__(self, operation: CallbackOperation) -> None:
        self._operation = operation

    @property
    def token(self) -> str:
        """Completes this callback: ``engine.complete_callback(token, value)``."""
        return self._operation.told[0]

    @property
    def url(self) -> str:
        """Where a webhook can be posted to; empty if no worker was told its ``callback_url``."""
        return self._operation.told[1]

    @overload
    async def result(self, type: type[T], timeout: Duration | None = None) -> T: ...
    @overload
    async def result(self, type: Any = None, timeout: Duration | None = None) -> Any: ...
    @waits_if_sync
    async def result(self, type: Any = None, timeout: Duration | None = None) -> Any:
        """What the callback brings, decoded as ``type``.

        Raises ``TimedOut``, the error that ``fail_callback`` gave, or ``InvalidInput`` if the value does not fit.
        """
        seconds = None if timeout is None else to_seconds(timeout)
        # Shielded: a wait that ran out does not give the callback up; it can be waited for again.
        answered = asyncio.shield(self._operation.future)
        payload = await limited(answered, seconds, f"callback {self._operation.key!r}")
        return reader(type)(payload)


def callback() -> Callback:
    """A new callback of this run."""
    return Callback(required("callback").begin_callback("callback"))
