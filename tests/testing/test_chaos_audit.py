"""The audit of the kill loop is made from lines of a ledger: each promise that is broken there is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keepstep.journal.sqlite import migrations
from keepstep.testing.chaos import audit
from keepstep.testing.chaos.audit import Case
from keepstep.testing.chaos.audit.database import check_database
from keepstep.testing.chaos.audit.letters import check_letters
from keepstep.testing.chaos.audit.naps import check_naps
from keepstep.testing.chaos.audit.once import check_once
from keepstep.testing.chaos.audit.receipts import check_receipts
from keepstep.testing.chaos.audit.repeats import check_repeats
from keepstep.testing.chaos.audit.starts import check_starts
from keepstep.testing.chaos.audit.surprises import check_surprises
from keepstep.testing.chaos.audit.undoing import check_undoing
from keepstep.testing.chaos.ending import Ending
from keepstep.testing.chaos.ledger import Ledger, Line, read_ledger
from keepstep.testing.chaos.plan import Plan, plan_of, run_name

Check = Callable[[Case], Iterator[str]]

LIFE = 7


def run_like(kind: str, fits: Callable[[Plan], bool] = lambda _: True) -> str:
    """The first run of seed 1 whose plan is of that kind and fits."""
    return next(
        name
        for name in (run_name(1, number) for number in range(10_000))
        if plan_of(name).kind == kind and fits(plan_of(name))
    )


class Story:
    """Lines of a ledger, one a tenth of a second, and the endings that go with them."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.lines: list[Line] = []
        self.endings: list[Ending] = []
        self._time = 100.0

    def tell(self, kind: str, *facts: Any, life: int = LIFE, after: float = 0.1) -> None:
        self._time += after
        self.lines.append(Line(self._time, life, kind, list(facts)))

    def step(
        self, place: str, given: list[Any] | None = None, word: str = "", life: int = LIFE, attempt: int = 1
    ) -> str:
        """An execution that comes to its end; its receipt."""
        receipt = f"{self.name}|{place}|{word or place}"
        self.tell("began", self.name, place, receipt, attempt, given or [], life=life)
        self.tell("done", receipt, life=life, after=0.001)
        return receipt

    def end(self, status: str, result: Any = None, type: str = "", cancels: int = 0) -> None:
        kind = f"chaos_{plan_of(self.name.partition('/')[0]).kind}"
        self.endings.append(Ending(self.name, f"id of {self.name}", type or kind, status, "", result, cancels))

    def case(self, folder: Path) -> Case:
        (folder / "books").mkdir(exist_ok=True)
        return Case(f"sqlite:///{folder}/none.db", folder, self.lines, self.endings, 0)


def chain_done(links: int = 3) -> tuple[Story, list[str]]:
    """A chain without failures that went well."""
    plain = lambda plan: len(plan.links) == links and not any(link.failures for link in plan.links)  # noqa: E731
    story = Story(run_like("chain", plain))
    receipts: list[str] = []
    for place in range(links):
        receipts.append(story.step(str(place), receipts[-1:]))
    return story, receipts


def findings(check: Check, story: Story, folder: Path) -> list[str]:
    return list(check(story.case(folder)))


def test_a_chain_that_went_well_has_no_findings(tmp_path: Path) -> None:
    story, receipts = chain_done()
    story.tell("started", story.name, f"id of {story.name}")
    story.end("completed", receipts)
    case = story.case(tmp_path)
    without_files = [check for check in audit.CHECKS if check is not check_database]
    assert [finding for check in without_files for finding in check(case)] == []


def test_an_acknowledged_run_that_is_gone_or_another_one_is_found(tmp_path: Path) -> None:
    story, receipts = chain_done()
    story.tell("started", story.name, "another id")
    story.tell("started", run_name(1, 9999), "id")
    story.end("completed", receipts)
    assert findings(check_starts, story, tmp_path) == [
        f"run {story.name} was acknowledged as another id and is id of {story.name} at the end",
        "the acknowledged run 1:9999 is gone",
    ]


def test_a_run_that_is_stuck_or_ends_otherwise_than_planned_is_found(tmp_path: Path) -> None:
    story, _ = chain_done()
    story.end("running")
    other = Story(story.name)
    other.end("failed")
    assert "is running at the end" in findings(check_starts, story, tmp_path)[0]
    assert "which its plan does not want" in findings(check_starts, other, tmp_path)[0]


@pytest.mark.parametrize("deaths", [2, 5])
def test_a_run_that_was_given_up_is_believed_only_with_its_dead_workers(deaths: int, tmp_path: Path) -> None:
    story, _ = chain_done()
    for life in range(20, 20 + deaths):
        story.tell("began", story.name, "2", f"{story.name}|2|{life}", 1, [], life=life)
        story.tell("killed", life, life=0)
    said = "step 'x' was being executed by 5 workers when they died"
    story.endings.append(Ending(story.name, "id", "chaos_chain", "failed", said))
    assert (findings(check_starts, story, tmp_path) == []) is (deaths == 5)


def test_an_acknowledged_cancel_that_no_history_has_is_found(tmp_path: Path) -> None:
    story = Story(run_like("order"))
    story.tell("cancelling", story.name)
    story.tell("cancelled", story.name)
    story.end("cancelled", cancels=0)
    assert findings(check_starts, story, tmp_path) == [
        f"run {story.name}: a cancel was acknowledged, and its history has none"
    ]


def test_a_result_that_a_client_was_told_and_that_changed_is_found(tmp_path: Path) -> None:
    story, receipts = chain_done()
    story.tell("result", story.name, "completed", "digest of something else")
    story.end("completed", receipts)
    assert "another result" in findings(check_starts, story, tmp_path)[0]


def test_a_receipt_of_what_never_happened_is_found(tmp_path: Path) -> None:
    story, receipts = chain_done()
    story.end("completed", [*receipts[:2], f"{story.name}|2|invented"])
    assert f"{story.name}|2|invented was used, and never happened" in findings(check_receipts, story, tmp_path)


def test_executions_that_were_given_different_receipts_are_found(tmp_path: Path) -> None:
    story, receipts = chain_done()
    again = story.step("1", word="again", given=receipts[:1])
    story.step("2", word="again", given=[again])
    story.end("completed", receipts)
    found = findings(check_receipts, story, tmp_path)
    assert any("step 2 was given" in each and "and then" in each for each in found)
    assert any("ended with" in each for each in found)


def test_a_place_that_was_left_out_is_found(tmp_path: Path) -> None:
    story, receipts = chain_done()
    story.end("completed", receipts[:2])
    assert "its steps are ['0', '1', '2']" in findings(check_receipts, story, tmp_path)[0]


def test_an_attempt_too_many_is_found(tmp_path: Path) -> None:
    story, receipts = chain_done(2)
    story.lines[0].facts[3] = 2
    story.end("completed", receipts)
    assert "a crash uses up none" in findings(check_receipts, story, tmp_path)[0]


def test_a_repeat_is_found_unless_something_befell_one_of_the_lives(tmp_path: Path) -> None:
    story, _ = chain_done()
    story.step("2", word="again", life=8)
    assert "was done 2 times, and nothing befell the lives 7, 8" in findings(check_repeats, story, tmp_path)[0]
    story.tell("killed", LIFE, life=0)
    assert findings(check_repeats, story, tmp_path) == []
    long_ago, _ = chain_done()
    long_ago.tell("began", long_ago.name, "2", f"{long_ago.name}|2|again", 1, [], life=8, after=60.0)
    long_ago.tell("killed", LIFE, life=0)
    assert "nothing befell" in findings(check_repeats, long_ago, tmp_path)[0]


def test_a_step_that_is_begun_again_after_its_result_was_in_use_is_found(tmp_path: Path) -> None:
    story, _ = chain_done()
    story.step("0", word="again", life=8)
    story.tell("killed", 8, life=0)
    assert "after its result was in use" in findings(check_repeats, story, tmp_path)[0]
    story.tell("frozen", 8, life=0)
    assert findings(check_repeats, story, tmp_path) == []


def mailbox_with(opened: list[str], sent: list[str]) -> Story:
    story = Story(run_name(1, 7))
    for letter in sent:
        story.tell("sending", story.name, letter)
        story.tell("sent", story.name, letter)
    result = [[letter, story.step(f"letter {n}", [letter])] for n, letter in enumerate(opened)]
    story.end("completed", result)
    return story


@pytest.mark.parametrize(
    ("opened", "sent", "expected"),
    [
        (["own 3 1", "shared 5", "own 3 2"], ["own 3 1", "shared 5", "own 3 2"], None),
        (["own 3 1"], ["own 3 1", "own 3 2"], "the acknowledged letter 'own 3 2' was never opened"),
        (["shared 5", "shared 5"], ["shared 5"], "the letter 'shared 5' was opened 2 times"),
        (["own 3 2", "own 3 1"], ["own 3 1", "own 3 2"], "letter 1 of life 3 was opened after letter 2"),
        (["own 3 1", "own 4 1"], ["own 3 1"], "nobody has sent the letter 'own 4 1'"),
    ],
)
def test_letters_are_opened_once_and_in_order(
    opened: list[str], sent: list[str], expected: str | None, tmp_path: Path
) -> None:
    found = findings(check_letters, mailbox_with(opened, sent), tmp_path)
    assert found == ([] if expected is None else [f"1:7: {expected}"])


def order_undone(undone: list[tuple[str, str]], done: int) -> Story:
    """An order that was cancelled, with so many steps done."""
    story = Story(run_like("order", lambda plan: len(plan.links) == 4 and not any(x.is_refused for x in plan.links)))
    receipts = {str(place): story.step(str(place)) for place in range(done)}
    for place, outcome in undone:
        story.step(f"undo {place}", [outcome, receipts.get(place, "") if outcome == "succeeded" else ""])
    story.end("cancelled", cancels=1)
    return story


@pytest.mark.parametrize(
    ("undone", "done", "expected"),
    [
        ([("1", "succeeded"), ("0", "succeeded")], 2, None),
        ([("2", "uncertain"), ("1", "succeeded"), ("0", "succeeded")], 2, None),
        ([("0", "succeeded"), ("1", "succeeded")], 2, "step 0 was undone before step 1"),
        ([("1", "succeeded")], 2, "undid [1]: there is a gap"),
        ([("0", "succeeded")], 2, "did [0, 1] and undid only [0]"),
        ([("2", "succeeded"), ("1", "succeeded"), ("0", "succeeded")], 2, "which is no receipt of it"),
        ([("3", "uncertain"), ("2", "uncertain"), ("1", "succeeded"), ("0", "succeeded")], 2, "had done only [0, 1]"),
        ([("1", "failed"), ("0", "succeeded")], 2, "and it was not refused"),
        ([("1", "succeeded"), ("0", "uncertain")], 2, "and a later step had been done"),
    ],
)
def test_undoing_reaches_back_exactly_as_far_as_the_order_came(
    undone: list[tuple[str, str]], done: int, expected: str | None, tmp_path: Path
) -> None:
    found = findings(check_undoing, order_undone(undone, done), tmp_path)
    assert (found == []) if expected is None else any(expected in each for each in found)


def test_a_once_step_that_was_called_twice_or_differs_from_the_book_is_found(tmp_path: Path) -> None:
    story = Story(run_like("dispenser", lambda plan: len(plan.links) == 2))
    receipts = [f"{story.name}|{place}|word" for place in range(2)]
    for place, receipt in enumerate(receipts):
        story.tell("dispensing", story.name, str(place), 0, receipt)
    story.end("completed", receipts)
    case = story.case(tmp_path)
    for place, receipt in enumerate(receipts):
        (tmp_path / "books" / f"{story.name}-{place}-0").write_text(receipt)
    assert list(check_once(case)) == []
    (tmp_path / "books" / f"{story.name}-0-1").write_text("another")
    story.tell("dispensing", story.name, "1", 0, receipts[1])
    twice, twofold = findings(check_once, story, tmp_path)
    assert twice == f"{story.name}: the once-step 1 (try 0) was called 2 times"
    assert f"once-step 0 gave {receipts[0]}, and the book has" in twofold
    assert "another" in twofold


def test_a_timer_that_rang_early_is_found(tmp_path: Path) -> None:
    story = Story(run_like("naps", lambda plan: plan.numbers[0] == 250))
    first = story.step("0")
    story.step("1", [first])
    story.end("completed", [])
    assert "a nap of 250 ms after step 0 was over after 100.0 ms" in findings(check_naps, story, tmp_path)[0]


def test_a_surprise_and_a_missing_operator_are_found(tmp_path: Path) -> None:
    story = Story(run_like("chain"))
    story.tell("surprise", "boom")
    assert findings(check_surprises, story, tmp_path) == [
        f"surprise in life {LIFE}: boom",
        "there are no endings: the operator did not come to its end",
    ]


def test_what_is_left_in_a_database_is_found(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(";".join(migrations()))
        db.execute("INSERT INTO leases VALUES (1, 'x', 0, '{}')")
        db.execute("INSERT INTO events VALUES (2, 1, 3, 'x', 0, NULL, '')")
        db.commit()
    found = findings(check_database, Story(), tmp_path)
    assert [each.removeprefix(f"{path}: ") for each in found] == [
        "1 leases at the end",
        "1 runs whose events are not numbered from 1 without a gap at the end",
        "1 runs that are gone, and their events are not at the end",
        "1 gaps in the log at the end",
    ]


def test_a_new_database_without_the_run_that_was_acknowledged_is_found(tmp_path: Path) -> None:
    for name in ("none", "new-5"):
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as db:
            db.executescript(";".join(migrations()))
    story = Story()
    story.tell("started anew", "new-5", "id")
    assert findings(check_database, story, tmp_path) == [
        "the start of new-5 was acknowledged as id, and the new database has []"
    ]


def test_a_line_that_was_cut_short_is_no_line_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path, 3)
    ledger.write("first", 1)
    with path.open("ab") as file:
        file.write(b'\n[12.5,4,"cut sh')
    ledger.write("second", "ü\n")
    ledger.close()
    assert [(line.life, line.kind, line.facts) for line in read_ledger(path)] == [
        (3, "first", [1]),
        (3, "second", ["ü\n"]),
    ]
