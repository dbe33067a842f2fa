"""The error that names what workflow code must not do, where it does it, and what to do instead."""

from __future__ import annotations

from dataclasses import dataclass

from keepstep.journal.errors import Error


@dataclass(frozen=True, slots=True)
class Finding:
    """One use of the outside world in workflow code.

    ``via`` names the functions that lead from the workflow to the place, the workflow first; empty where the place was
    met while running.
    """

    file: str
    line: int
    used: str
    instead: str
    via: tuple[str, ...] = ()

    def __str__(self) -> str:
        way = f" (reached through {' > '.join(self.via)})" if len(self.via) > 1 else ""
        return f"{self.file}:{self.line}: {self.used} in workflow code{way}: {self.instead}"


class Nondeterminism(Error):
    """Workflow code used something that would be different at replay.

    ``file``, ``line``, ``used`` and ``instead`` describe the first finding; ``findings`` holds all of them.
    """

    def __init__(self, *findings: Finding) -> None:
        first = findings[0]
        self.findings = findings
        self.file, self.line, self.used, self.instead = first.file, first.line, first.used, first.instead
        lines = [str(finding) for finding in findings]
        lines.append("A workflow is run again from its journal and must take the same way each time.")
        lines.append("If this place is harmless, put it inside `with keepstep.unsafe():`.")
        super().__init__("\n".join(lines))
