"""View: what a process sees that only looks at a store, with data in the place of cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from keepstep.journal import LeaseState, Loaded, Run, Status
from keepstep.journal.writing.view import View

from .codec import Codec
from .opening import want_loaded, want_run, with_all_opened, with_opened
from .storage import Storage


class OpenedView:
    """``keepstep.journal.writing.view.View``, through a codec."""

    def __init__(self, view: View[Any], codec: Codec) -> None:
        self._view = view
        self._storage = Storage(codec)
        self.close = view.close
        self.count = view.count
        self.read_run = view.read_run

    def leases(self) -> list[LeaseState]:
        return self._view.leases()

    def runs(
        self, namespace: str, statuses: Sequence[Status], types: Sequence[str] = (), limit: int | None = None
    ) -> Iterator[Run]:
        for run in self._view.runs(namespace, statuses, types, limit):
            wanted = want_run(run)
            opened = zip((data for data, _ in wanted), self._storage.open_now(wanted), strict=True)
            yield with_opened(run, dict(opened)) if wanted else run

    def load(self, run_id: str) -> Loaded:
        """Raises ``NotFound``, and ``Unreadable`` where a key or a blob is not here."""
        loaded = self._view.load(run_id)
        wanted = want_loaded(loaded)
        return with_all_opened(loaded, self._storage.open_now(wanted)) if wanted else loaded
