"""TLS: a certificate and its key from files, looked at again and again, so that a renewed one counts without a restart.

A renewal writes two files, one after the other: a pair that does not fit yet is left alone, and the one before counts
until it does. New connections get what counts then; those that are open keep theirs. Versions before TLS 1.2 are not
spoken.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from pathlib import Path

from keepstep.journal import InvalidInput

logger = logging.getLogger("keepstep.server")

LOOK_SECONDS = 5.0

_Seen = tuple[tuple[int, int, int], ...]


class Certificate:
    """``context`` is for a listener; ``watch`` is to run beside it. Raises ``InvalidInput`` for files that do not fit.

    :param chain: the certificate, and behind it those that lead to one that callers know, as PEM. :param key: its key,
        as PEM without a passphrase. :param look_seconds: between two looks at the files.
    """

    def __init__(
        self, chain: str | os.PathLike[str], key: str | os.PathLike[str], *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._files = (Path(chain), Path(key))
        self._look_seconds = look_seconds
        self._seen = self._look()
        self.context = self._current = self._load()
        # A context to which another certificate is loaded keeps the first one, too, if their keys are of two kinds.
        # So each connection is given the newest context as a whole, while its handshake begins.
        self.context.sni_callback = self._hand_over

    def _hand_over(self, connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        connection.context = self._current

    async def watch(self) -> None:
        """Take over what is renewed, for as long as this runs."""
        while True:
            await asyncio.sleep(self._look_seconds)
            self.renew()

    def renew(self) -> bool:
        """Take over what has changed since the last look; whether that was so."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self._current = self._load()
        except InvalidInput as error:
            logger.warning("the certificate has changed and cannot be used, the one before counts: %s", error)
            return False
        logger.info("a renewed certificate counts from now on")
        return True

    def _look(self) -> _Seen:
        """What changes when a file does; nothing for one that is not there, as in the middle of a renewal."""
        found = []
        for file in self._files:
            try:
                at = file.stat()
                found.append((at.st_mtime_ns, at.st_ino, at.st_size))
            except OSError:
                found.append((0, 0, 0))
        return tuple(found)

    def _load(self) -> ssl.SSLContext:
        chain, key = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(chain, key, password=_no_passphrase)
        except OSError as error:  # of which ssl.SSLError is one
            why = error.strerror if not isinstance(error, ssl.SSLError) else error.reason or "they are no PEM files"
            raise InvalidInput(f"{chain} and {key} are no certificate with its key: {why}") from error
        return context


def _no_passphrase() -> str:
    """Else the library would ask for one at the terminal."""
    raise InvalidInput(
        "the key of the certificate has a passphrase; give one without, in a file that only you can read"
    )
