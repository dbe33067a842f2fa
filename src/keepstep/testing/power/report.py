"""Report: what was tried, and what was lost."""

from __future__ import annotations

from dataclasses import dataclass, field

FINDINGS_MAX = 25
"""Whoever has found so much need not look any further."""


@dataclass
class PowerReport:
    """Counts of one run of the torture."""

    seed: int = 0
    lives: int = 0
    cuts: int = 0
    cuts_in_recovery: int = 0
    """Those of ``cuts`` that came while a journal was recovering from another one."""
    acknowledged: int = 0
    """Starts, commits and messages that had been acknowledged before a cut and were looked for after it."""
    faults: int = 0
    """Lives in which one call, or all for a while, failed."""
    lost: int = 0
    corrupt: int = 0
    misbehaved: int = 0
    """Lives on a failing disk that did not end as they should have."""
    seconds: float = 0.0
    replay: list[str] = field(default_factory=list)
    """A command for each of the first findings, which shows it again."""

    @property
    def findings(self) -> int:
        return self.lost + self.corrupt + self.misbehaved

    def is_over(self, cuts: int) -> bool:
        """Whether there were enough cuts, or enough findings to look into."""
        return self.cuts >= cuts or self.findings >= FINDINGS_MAX

    def describe(self) -> str:
        """How far it has come, in one line."""
        return (
            f"{self.cuts} cuts, {self.faults} faults, {self.acknowledged} acknowledged commits looked for; "
            f"{self.lost} lost, {self.corrupt} corrupt, {self.misbehaved} misbehaved"
        )
