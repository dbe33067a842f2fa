"""View: a store as it is seen by a process that only looks: it enters itself nowhere, owns nothing, writes nothing.

Made by a store's ``viewing`` module, for one thread, which asks one question after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

import msgspec

from keepstep.journal.lease import LeaseState
from keepstep.journal.namespace import queue_name, queue_prefix
from keepstep.journal.port import Loaded
from keepstep.journal.run import Run, Status

from .questions import Questions

PAGE = 200

DB = TypeVar("DB")


class View(Generic[DB]):
    """See the module. ``asking`` says in words what keeps the store from being read."""

    def __init__(
        self,
        db: DB,
        questions: Questions[DB],
        asking: Callable[[], AbstractContextManager[None]],
        close: Callable[[], None],
    ) -> None:
        self._db = db
        self._questions = questions
        self._asking = asking
        self.close = close

    def runs(
        self, namespace: str, statuses: Sequence[Status], types: Sequence[str] = (), limit: int | None = None
    ) -> Iterator[Run]:
        """Runs, newest first, read page by page."""
        before: tuple[int, str] | None = None
        left = 1 << 62 if limit is None else limit
        while left > 0:
            wanted = min(PAGE, left)
            with self._asking():
                page = self._questions.list_runs(self._db, namespace, statuses, (), types, before, wanted)
            yield from map(_as_named_there, page)
            if len(page) < wanted:
                return
            left -= len(page)
            before = page[-1].started_at, page[-1].run_id

    def read_run(self, run_id: str) -> Run | None:
        """The run of that run id."""
        with self._asking():
            run = self._questions.read_run(self._db, run_id)
        return None if run is None else _as_named_there(run)

    def count(self, namespace: str, statuses: Sequence[Status], types: Sequence[str] = ()) -> int:
        """How many runs there are."""
        with self._asking():
            return self._questions.count_runs(self._db, namespace, statuses, (), types)

    def load(self, run_id: str) -> Loaded:
        """A run in one snapshot. Raises ``NotFound``."""
        with self._asking():
            loaded = self._questions.load(self._db, run_id)
        return msgspec.structs.replace(loaded, run=_as_named_there(loaded.run))

    def leases(self) -> list[LeaseState]:
        """The workers that have not been found dead yet."""
        with self._asking():
            return self._questions.list_leases(self._db)


def _as_named_there(run: Run) -> Run:
    """A run with its queue as its namespace calls it."""
    return msgspec.structs.replace(run, queue=queue_name(queue_prefix(run.namespace), run.queue))
