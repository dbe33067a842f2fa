"""Pending: a log-in on its way, in a cookie of the browser that began it, for ten minutes.

Nothing of it is kept on the server, so that who only begins log-ins fills no database, and any process can end what
another one began. The cookie is not sealed, because there is nothing to gain by changing it: whoever can write this
server's cookies in a browser could as well write the cookie of a session of his own. What it must not be is anybody
else's: the state that comes back must be the one that this browser was given, the code is of no use without the
verifier, and the ID token must carry the nonce.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable

import msgspec

from .refusing import Refused

SECONDS_MAX = 600
RANDOM_BYTES = 32
NEXT_CHARS_MAX = 2000


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """What has to come back as it was."""

    state: str
    nonce: str
    verifier: str
    next: str
    """The page to go on with, below the server's own path."""

    def write(self) -> str:
        """For the cookie."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).rstrip(b"=").decode()

    def check(self, state: str) -> None:
        """Raises ``Refused``."""
        if not hmac.compare_digest(self.state.encode(), state.encode()):
            raise Refused("it answers another log-in than the one that this browser began last")


def begin(random_bytes: Callable[[int], bytes], next: str) -> Pending:
    """A new one."""

    def text() -> str:
        return base64.urlsafe_b64encode(random_bytes(RANDOM_BYTES)).rstrip(b"=").decode()

    return Pending(state=text(), nonce=text(), verifier=text(), next=page_below(next))


def read(cookie: str) -> Pending:
    """Raises ``Refused``."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)), type=Pending)
    except (ValueError, msgspec.MsgspecError):
        raise Refused("this browser has begun no log-in here within the last ten minutes") from None


def page_below(next: str) -> str:
    """A page of this server, without a slash before it; the first one for whatever could lead elsewhere.

    Browsers take ``\\`` for ``/``, leave tabs and line breaks out, and go to another host by ``//``.
    """
    path = next.removeprefix("/")
    is_plain = path.isascii() and path.isprintable() and " " not in path and len(path) <= NEXT_CHARS_MAX
    before_query = path.partition("?")[0]
    if not is_plain or path.startswith("/") or "\\" in path or ":" in before_query or "//" in before_query:
        return ""
    if before_query.split("/")[0] in ("login", "api", "callbacks") or ".." in before_query.split("/"):
        return ""
    return path
