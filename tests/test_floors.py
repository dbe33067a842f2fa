"""The floors of `make coverage` and `make mutants` are judged rightly."""

from __future__ import annotations

from typing import Any

import pytest

from tests import branches
from tests.mutation import __main__ as mutation
from tests.mutation.equivalent import EQUIVALENT


def report(covered: int, missing: list[list[int]]) -> dict[str, Any]:
    summary = {
        "num_branches": covered + len(missing),
        "covered_branches": covered,
        "missing_branches": len(missing),
    }
    return {"summary": summary, "missing_branches": missing}


FILES = {
    "files": {
        "src/keepstep/journal/run.py": report(95, [[1, 2]] * 5),
        "src/keepstep/worker/worker.py": report(94, [[7, -1], [8, 9]] * 3),
        "src/keepstep/client/engine.py": report(0, [[1, 2]]),
    }
}


def test_a_room_at_its_floor_passes_and_one_below_it_is_shown_with_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert branches.tell("journal", branches.files_of(FILES, "journal"))
    assert not branches.tell("worker", branches.files_of(FILES, "worker"))
    assert branches.tell("runtime", branches.files_of(FILES, "runtime"))  # nothing there, nothing missing
    printed = capsys.readouterr().out
    assert "journal   95.0 % of branches" in printed
    assert "src/keepstep/worker/worker.py: 7->exit, 8->9" in printed
    assert "client" not in printed


SHOWN = """
# keepstep.journal.run.x_walk__mutmut_3: survived
--- src/keepstep/journal/run.py
+++ src/keepstep/journal/run.py
@@ -1,4 +1,4 @@
 def walk(steps):
-    return steps + 1
+    return steps - 1
"""

RESULTS = """
    keepstep.journal.run.x_walk__mutmut_3: survived
    keepstep.journal.run.x_walk__mutmut_4: timeout
    keepstep.journal.run.x_walk__mutmut_5: not checked
    keepstep.journal.run.x_stand__mutmut_1: no tests
"""


def test_what_no_test_has_noticed_survives_and_what_hangs_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutation, "run_mutmut", lambda *_: RESULTS)
    sample = [f"keepstep.journal.run.x_walk__mutmut_{n}" for n in (2, 3, 4)] + [
        "keepstep.journal.run.x_stand__mutmut_1"
    ]
    assert mutation.survivors_of(sample) == {
        "keepstep.journal.run.x_walk__mutmut_3": "survived",
        "keepstep.journal.run.x_stand__mutmut_1": "no tests",
    }


def test_a_mutant_is_known_by_its_module_and_the_line_that_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutation, "run_mutmut", lambda *_: SHOWN)
    change = mutation.change_of("keepstep.journal.run.x_walk__mutmut_3")
    assert change == ("keepstep.journal.run", "return steps + 1", "return steps - 1")


def test_the_share_that_was_killed_leaves_out_what_cannot_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    missed = [("m", "survived", ("keepstep.journal.run", "a", "b"))]
    assert mutation.tell(20, missed, excused=3) == 95.0
    printed = capsys.readouterr().out
    assert "survived: m\n    - a\n    + b\n" in printed
    assert "19 of 20 mutants killed (95.0 %); 3 more change nothing that could be seen" in printed


def test_every_excused_mutant_has_its_reason() -> None:
    assert all(len(change) == 3 and change[1] != change[2] and why for change, why in EQUIVALENT.items())
