"""Case: the ledger of a round, sorted, and what the engine says of every run at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.testing.chaos.ending import Ending, read_endings
from keepstep.testing.chaos.ledger import Line, read_ledger

if TYPE_CHECKING:
    from keepstep.testing.chaos.life import Scene

NEVER = float("inf")

GIVEN_UP = "workers when they died"
"""In the error of a step on a queue that is not tried again, because it may be what kills its workers."""

DEATHS_SHOWN_MIN = 3


class Execution(msgspec.Struct):
    """One call of a step in one life."""

    run: str
    place: str
    receipt: str
    attempt: int
    given: list[Any]
    life: int
    began: float
    done: float = NEVER
    raised: float = NEVER


class Fortune(msgspec.Struct):
    """What befell one life."""

    killed: float = NEVER
    frozen: float = NEVER
    thawed: float = NEVER
    lost_lease: list[float] = []
    closing: float = NEVER
    gave_back: float = NEVER
    """It closed before its steps had ended."""

    def was_stale(self) -> bool:
        """It may, at some time, have believed that it owned what was somebody else's."""
        return self.frozen < NEVER or bool(self.lost_lease)


class Case:
    """See the module. All facts of the ledger, by what they are about."""

    def __init__(
        self,
        url: str,
        folder: Path,
        lines: Iterable[Line],
        endings: list[Ending],
        retried: int,
        *,
        is_troubled: bool = False,
    ) -> None:
        self.url = url
        self.is_troubled = is_troubled
        """The database was away for a while, again and again."""
        self.folder = folder
        self.endings = {each.name: each for each in endings}
        self.retried = retried
        self.executions: dict[tuple[str, str], list[Execution]] = defaultdict(list)
        self.fortunes: dict[int, Fortune] = defaultdict(Fortune)
        self.facts: dict[str, list[Line]] = defaultdict(list)
        """All other lines, by kind."""
        self._by_receipt: dict[str, Execution] = {}
        for line in lines:
            self._take(line)

    def _take(self, line: Line) -> None:
        if line.kind == "began":
            run, place, receipt, attempt, given = line.facts
            execution = Execution(run, place, receipt, attempt, given, line.life, line.time)
            self._by_receipt[execution.receipt] = execution
            self.executions[execution.run, execution.place].append(execution)
        elif line.kind == "done":
            self._by_receipt[line.facts[0]].done = line.time
        elif line.kind == "raised":
            self._by_receipt[line.facts[0]].raised = line.time
        elif line.kind in ("killed", "frozen", "thawed"):
            setattr(self.fortunes[line.facts[0]], line.kind, line.time)
        elif line.kind == "closing":
            self.fortunes[line.life].closing = line.time
        elif line.kind == "log" and "was taken" in line.facts[0]:
            self.fortunes[line.life].lost_lease.append(line.time)
        elif line.kind == "log" and "gave back" in line.facts[0]:
            self.fortunes[line.life].gave_back = line.time
        else:
            self.facts[line.kind].append(line)

    def execution(self, receipt: str) -> Execution | None:
        """The one that gave this receipt."""
        return self._by_receipt.get(receipt)

    def was_given_up(self, ending: Ending) -> bool:
        """Whether it failed because worker after worker died with one of its steps on a queue, as the engine says.

        Here such a step is a mere victim. The ledger must show most of those deaths: a worker may also have died
        between taking the step and beginning it.
        """
        family = ending.name.partition("/")[0]
        return GIVEN_UP in ending.said and any(
            sum(self.fortunes[each.life].killed < NEVER for each in executions) >= DEATHS_SHOWN_MIN
            for (run, _), executions in self.executions.items()
            if run.partition("/")[0] == family
        )

    def places(self, run: str) -> dict[str, list[Execution]]:
        """What was executed of a run, by place."""
        return self._by_run().get(run, {})

    def _by_run(self) -> dict[str, dict[str, list[Execution]]]:
        if not hasattr(self, "_runs"):
            self._runs: dict[str, dict[str, list[Execution]]] = defaultdict(dict)
            for (run, place), executions in self.executions.items():
                self._runs[run][place] = executions
        return self._runs

    def runs(self) -> Iterable[str]:
        """All runs of which anything was executed."""
        return self._by_run()

    def counts(self) -> Counter[str]:
        """How much there was to judge."""
        counts = Counter({"runs": len(self.endings), "steps": len(self._by_receipt)})
        counts["acknowledged starts"] = len(self.facts["started"]) + len(self.facts["started anew"])
        counts["acknowledged letters"] = len(self.facts["sent"])
        counts["acknowledged cancels"] = len(self.facts["cancelled"])
        counts["results told"] = len(self.facts["result"])
        counts["repeats"] = sum(len(each) - len({one.attempt for one in each}) for each in self.executions.values())
        counts["orders undone"] = len({line[0] for line in self.executions if line[1].startswith("undo ")})
        counts["once-steps called"] = len(self.facts["dispensing"])
        counts["leases lost"] = sum(len(each.lost_lease) for each in self.fortunes.values())
        counts["stale writes refused"] = len(self.facts["refused"])
        counts["given up by mistake"] = sum(self.was_given_up(each) for each in self.endings.values())
        counts["quarantined by mistake"] = self.retried
        return counts


def used_receipts(result: Any) -> list[str]:
    """All receipts in a result."""
    if isinstance(result, str):
        return [result] if result.count("|") == 2 else []
    return [each for part in result or () for each in used_receipts(part)]


def open_case(scene: Scene) -> Case:
    """Read what a round has left behind."""
    retried, endings = read_endings(scene.endings_path) if scene.endings_path.exists() else (0, [])
    return Case(
        scene.url, scene.folder, read_ledger(scene.ledger_path), endings, retried, is_troubled=scene.is_troubled
    )
