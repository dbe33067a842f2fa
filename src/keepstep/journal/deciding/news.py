"""News: what one flush changed, collected into as few hints as possible."""

from __future__ import annotations

from keepstep.journal.hint import Closing, Hint, HintKind


class News:
    """Hints of one flush. Run ids keep their order and appear once a kind."""

    def __init__(self) -> None:
        self._runs: dict[HintKind, dict[str, None]] = {}
        self._closings: list[Closing] = []
        self._ended_lease = False

    def tell(self, kind: HintKind, run_id: str) -> None:
        """``run_id`` is ``""`` where it may be any run."""
        self._runs.setdefault(kind, {})[run_id] = None

    def closed(self, closing: Closing) -> None:
        self.tell(HintKind.CLOSED, closing.run_id)
        self._closings.append(closing)

    def ended_lease(self) -> None:
        """Some process has lost a lease; each looks whether it was its own."""
        self._ended_lease = True

    def add(self, other: News) -> None:
        """Tell what ``other`` tells, too."""
        for kind, run_ids in other._runs.items():
            self._runs.setdefault(kind, {}).update(run_ids)
        self._closings += other._closings
        self._ended_lease |= other._ended_lease

    def hints(self) -> list[Hint]:
        """For this process, precisely."""
        return [
            Hint(
                kind, () if "" in run_ids else tuple(run_ids), tuple(self._closings) if kind is HintKind.CLOSED else ()
            )
            for kind, run_ids in self._runs.items()
        ]

    def kinds(self) -> list[HintKind]:
        """For other processes, who look for themselves."""
        return [*self._runs, HintKind.LEASE_LOST] if self._ended_lease else list(self._runs)
