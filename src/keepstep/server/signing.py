"""Signing: whether a webhook comes from who knows the secret, and comes now.

The form is that of Standard Webhooks (specification 1.0.0, "Signature scheme" and "Verifying signatures"): the headers
``webhook-id``, ``webhook-timestamp`` (seconds since 1970) and ``webhook-signature``, a list of ``v1,`` and the base64
of the HMAC-SHA256 of ``id.timestamp.body``. Several secrets may hold at a time, so that they are changed without a gap.

A signature says nothing of the address that a webhook is posted to. So an id that was taken for one callback is not
taken for another as long as its timestamp holds; for the same one it may come again, as senders do that got no answer.
Ids are remembered by one process, and not over its end: that a webhook which somebody has recorded is neither late nor
sent to another callback, across several processes, only its timestamp says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from keepstep.journal import Clock, InvalidInput

SECRETS = "KEEPSTEP_CALLBACK_SECRETS"
"""Name of the environment variable with secrets, where no file is named; blanks between them."""

PREFIX = "whsec_"
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64
SECRETS_MAX = 10
TOLERANCE_SECONDS = 300.0
ID_CHARS_MAX = 256
SIGNATURES_MAX = 20
"""Of one webhook."""

IDS_MAX = 100_000
"""That are remembered; more than come in the time for which one holds are asked to come again."""

MAKE_ONE = 'make one by: echo "whsec_$(openssl rand -base64 32)"'


class Unsigned(Exception):
    """A webhook is not taken: ``status`` and reason."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Signatures:
    """See the module. ``secrets``: each ``whsec_`` and base64. Raises ``InvalidInput``, which shows none of them.

    :param tolerance_seconds: how far a timestamp may be from now, in both directions.
    """

    def __init__(self, secrets: Sequence[str], clock: Clock, *, tolerance_seconds: float = TOLERANCE_SECONDS) -> None:
        if not 0 < len(secrets) <= SECRETS_MAX:
            raise InvalidInput(f"callbacks are signed with one secret, or up to {SECRETS_MAX} while it is changed")
        if not tolerance_seconds > 0:
            raise InvalidInput(f"the tolerance for timestamps is more than 0 seconds, not {tolerance_seconds!r:.60}")
        self._secrets = [_secret_of(text, n) for n, text in enumerate(secrets, 1)]
        self._clock = clock
        self._tolerance_seconds = tolerance_seconds
        self._taken: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """Ids: the token for which each came, and until when it is remembered; the oldest first."""

    def check(self, headers: Mapping[str, str], body: bytes, token: str) -> None:
        """Raises ``Unsigned`` for a webhook that is not to be taken for that callback."""
        id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        signatures = headers.get("webhook-signature", "")
        if not (id and timestamp and signatures):
            raise Unsigned(401, "callbacks are signed here: webhook-id, webhook-timestamp and webhook-signature")
        if len(id) > ID_CHARS_MAX or "." in id or not id.isprintable():
            raise Unsigned(401, f"webhook-id has up to {ID_CHARS_MAX} printable signs and no full stop")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise Unsigned(401, "webhook-timestamp is a number of seconds since 1970")
        if not self._is_signed(f"{id}.{timestamp}.".encode() + body, signatures):
            raise Unsigned(401, "none of the signatures is right")
        now = self._now()
        if abs(now - int(timestamp)) > self._tolerance_seconds:
            raise Unsigned(401, f"webhook-timestamp is more than {self._tolerance_seconds:g} s from now")
        self._take(id, token, now)

    def _is_signed(self, content: bytes, signatures: str) -> bool:
        """Every secret is tried with every signature, so that the time it takes tells nothing."""
        expected = [hmac.digest(secret, content, hashlib.sha256) for secret in self._secrets]
        is_right = False
        for each in signatures.split(" ")[:SIGNATURES_MAX]:
            version, _, text = each.partition(",")
            given = _decoded(text) if version == "v1" else None
            for one in expected:
                is_right |= hmac.compare_digest(one, given or b"")
        return is_right

    def _take(self, id: str, token: str, now: float) -> None:
        while self._taken and next(iter(self._taken.values()))[1] <= now:
            self._taken.popitem(last=False)
        there = self._taken.get(id)
        if there is not None and there[0] != token:
            raise Unsigned(409, "a webhook of this id has come already, for another callback")
        if there is None and len(self._taken) >= IDS_MAX:
            raise Unsigned(503, "too many webhooks have come; try again later")
        self._taken[id] = token, now + 2 * self._tolerance_seconds
        self._taken.move_to_end(id)

    def _now(self) -> float:
        """By the wall clock, which senders go by, too."""
        return (self._clock.now() + self._clock.jump()) / 1e6


def read_secrets(path: str | None, environment: Mapping[str, str] | None = None) -> list[str]:
    """Those of a file, one a line, or else those of the environment. Raises ``InvalidInput``."""
    if path is None:
        return (os.environ if environment is None else environment).get(SECRETS, "").split()
    try:
        lines = Path(path).read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the file of callback secrets {path!r} cannot be read: {error}") from error
    if not lines:
        raise InvalidInput(f"the file {path!r} has no callback secret; {MAKE_ONE}")
    return lines


def _secret_of(text: str, number: int) -> bytes:
    secret = _decoded(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else None
    if secret is None or not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        raise InvalidInput(
            f"callback secret {number} is not {PREFIX} and the base64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} "
            f"random bytes; {MAKE_ONE}"
        )
    return secret


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
