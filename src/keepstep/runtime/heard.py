"""Heard: which signals and updates a run has had, by their ids, and those that it continues before it.

Whoever says something by an id may say it again: the answer was lost, and meanwhile the run has perhaps continued as
new. So the first event of a run that continues another carries what the chain of runs has heard, and who repeats it
to any later run of the chain is known there. Nothing is asked of the store, and nobody's code sees it.

A chain remembers the last ``HEARD_MAX`` ids, the oldest forgotten first; only digests are kept, 16 bytes each. What
nobody had read or begun when a run continued is not among them: that goes over to the next run, and happens there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from .history import HeardBefore

HEARD_MAX = 2_000
"""Ids that a run which continues another knows of all those before it."""

DIGEST_BYTES = 16
SIGNAL, UPDATE = "signal", "update"


def _digest(kind: str, id: str) -> bytes:
    return hashlib.blake2b(f"{kind}\0{id}".encode(), digest_size=DIGEST_BYTES).digest()


class Heard:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._before: dict[bytes, str] = {}
        """In which run of the chain it was heard, oldest first."""
        self._here: dict[tuple[str, str], None] = {}

    def begin(self, before: Iterable[HeardBefore]) -> None:
        """The run begins, and continues others."""
        for each in before:
            self._before.update(dict.fromkeys(_cut(each.digests), each.run_id))

    def note(self, kind: str, id: str) -> None:
        """This run has heard it."""
        self._here[kind, id] = None
        if len(self._here) > 2 * HEARD_MAX:
            self._here = dict.fromkeys(list(self._here)[-HEARD_MAX:])

    def before(self, kind: str, id: str) -> str:
        """The run id of an earlier run of the chain that has heard it; empty if none has, or it is long ago."""
        return self._before.get(_digest(kind, id), "") if self._before else ""

    def passed_on(self, run_id: str, going_over: Iterable[tuple[str, str]]) -> tuple[HeardBefore, ...]:
        """What the run that continues this one is to know, but for what goes over to it."""
        left_out = set(going_over)
        heard = dict(self._before)
        heard.update((_digest(*each), run_id) for each in self._here if each not in left_out)
        by_run: dict[str, list[bytes]] = {}
        for digest, where in list(heard.items())[-HEARD_MAX:]:
            by_run.setdefault(where, []).append(digest)
        return tuple(HeardBefore(where, b"".join(digests)) for where, digests in by_run.items())


def run_that_heard(before: Iterable[HeardBefore], kind: str, id: str) -> str:
    """As ``Heard.before``, of what the first event of a run carries."""
    heard = Heard()
    heard.begin(before)
    return heard.before(kind, id)


def ids_heard(before: Iterable[HeardBefore]) -> dict[str, int]:
    """For people: how many ids are known of which run."""
    return {each.run_id: len(_cut(each.digests)) for each in before}


def _cut(digests: bytes) -> list[bytes]:
    return [digests[n : n + DIGEST_BYTES] for n in range(0, len(digests), DIGEST_BYTES)]
