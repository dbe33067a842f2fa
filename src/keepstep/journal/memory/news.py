"""News: what a flush changed, collected into as few hints as possible."""

from __future__ import annotations

from keepstep.journal.hint import Closing, Hint, HintKind


class News:
    """Hints of one flush. Run ids keep their order and appear once a kind."""

    def __init__(self) -> None:
        self._runs: dict[HintKind, dict[str, None]] = {}
        self._closings: list[Closing] = []
        self._lost: list[str] = []

    def ready(self, run_id: str) -> None:
        self._add(HintKind.READY, run_id)

    def inbox(self, run_id: str) -> None:
        self._add(HintKind.INBOX, run_id)

    def tasks(self, run_id: str) -> None:
        self._add(HintKind.TASKS, run_id)

    def asks(self, run_id: str) -> None:
        self._add(HintKind.ASKS, run_id)

    def spoken(self, run_id: str) -> None:
        self._add(HintKind.SPOKEN, run_id)

    def closed(self, closing: Closing) -> None:
        self._add(HintKind.CLOSED, closing.run_id)
        self._closings.append(closing)

    def lease_lost(self, lease_id: str) -> None:
        self._lost.append(lease_id)

    def _add(self, kind: HintKind, run_id: str) -> None:
        self._runs.setdefault(kind, {})[run_id] = None

    def is_told(self) -> bool:
        """Whether there is any."""
        return bool(self._runs or self._lost)

    def hints(self, *, own: bool) -> list[Hint]:
        """Hints for the process that made the change, or for the others, who learn no closings."""
        closings = tuple(self._closings) if own else ()
        return [
            Hint(kind, tuple(run_ids), closings if kind is HintKind.CLOSED else ())
            for kind, run_ids in self._runs.items()
        ]

    def lost_leases(self) -> list[str]:
        return self._lost
