"""What ``keepstep show`` says, situation by situation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keepstep.client.info import RunInfo
from keepstep.client.progress import Surroundings, progress
from keepstep.journal import Condition, Lease, LeaseState, Status, this_process
from keepstep.worker.words import Detail, Wait

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=30)


def microseconds(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)


def local(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def a_run(
    *waits: Wait, condition: Condition = Condition.WAITING, status: Status = Status.RUNNING, **more: Any
) -> RunInfo:
    values: dict[str, Any] = {
        "id": "order-7", "run_id": "r", "type": "buy", "status": status, "condition": condition, "waiting_for": waits,
        "started_at": NOW, "closed_at": None, "attributes": {}, "error": None, "status_text": "", "queue": "default",
        "version": "", "namespace": "default", "parent_run_id": None, "events": 3, "detail": Detail(waits=waits),
    }  # fmt: skip
    return RunInfo(**values | more)


def a_worker(*queues: str) -> LeaseState:
    lease = Lease(
        lease_id="l", lease_seconds=10, process=this_process(), queues=queues, languages=("python",), code="c"
    )
    return LeaseState(lease=lease, counter=1, probing=None, runs_held=1, tasks_held=0)


OWNED = Surroundings(now=NOW, owner=a_worker("default"), is_owned=True, served_queues=frozenset({"default"}))
ASLEEP = Surroundings(now=NOW, served_queues=frozenset({"default"}))
ORPHANED = Surroundings(now=NOW, is_owned=True, served_queues=frozenset({"default"}))
ALONE = Surroundings(now=NOW)

DIFF = {
    "summary": "The code does not fit the run's history: step 'b' was recorded.",
    "seq": 4,
    "history": "step_completed b (b)",
    "asked": [{"key": "a", "what": "step a", "site": {"file": "shop.py", "line": 12, "function": "buy"}}],
}

SITUATIONS = [
    ("a signal", a_run(Wait(kind="signal", name="picked", since=microseconds(NOW))), ASLEEP,
     [f"It waits for the signal 'picked', since {local(NOW)}.", "  keepstep signal order-7 picked [JSON]"]),
    ("ids that a shell would read otherwise", a_run(Wait(kind="signal", name="it is"), id="a b;c"), ASLEEP,
     ["  keepstep signal 'a b;c' 'it is' [JSON]"]),
    ("ids in capitals that a shell would read otherwise", a_run(Wait(kind="signal", name="[X]"), id="A;B $(C)"), ASLEEP,
     ["  keepstep signal 'A;B $(C)' '[X]' [JSON]"]),
    ("a timer", a_run(Wait(kind="timer", until=microseconds(LATER))), ASLEEP,
     [f"It waits for a timer, until {local(LATER)} (30 min left)."]),
    ("a callback", a_run(Wait(kind="callback", key="callback", token="tok")), ASLEEP,
     ["It waits for the callback 'callback'.", "  keepstep complete tok [JSON]"]),
    ("a person", a_run(Wait(kind="human_task", name="pick it", token="tok")), ASLEEP,
     ["It waits for a person: 'pick it'.", "  keepstep complete tok [JSON]"]),
    ("a child", a_run(Wait(kind="child", name="ship", run_id="c-1")), ASLEEP,
     ["It waits for its child 'ship'.", "  keepstep show c-1"]),
    ("a condition", a_run(Wait(kind="condition")), ASLEEP, ["It waits until a condition in its code holds."]),
    ("a step is executed", a_run(Wait(kind="step", name="charge", attempt=1), condition=Condition.NONE), OWNED,
     ["It executes step 'charge', attempt 1.", "It is in the memory of worker process"]),
    ("a step whose worker died", a_run(Wait(kind="step", name="charge", attempt=1)), ORPHANED,
     ["Step 'charge' is executed, attempt 1, when a worker takes the run up.",
      "Its worker is gone; another one takes it over."]),
    ("a step is tried again later",
     a_run(Wait(kind="step", name="charge", attempt=3, until=microseconds(LATER), error="ValueError: no")), OWNED,
     [f"Step 'charge' is tried again, attempt 3, at {local(LATER)} (30 min left).",
      "  The last error: ValueError: no"]),
    ("a step on a queue that is served", a_run(Wait(kind="step", name="render", attempt=1, queue="default")), OWNED,
     ["Step 'render' is with queue 'default', attempt 1."]),
    ("a step on a queue that nobody serves", a_run(Wait(kind="step", name="render", attempt=1, queue="gpu")), OWNED,
     ["Step 'render' waits on queue 'gpu', which no worker serves.", "  keepstep worker MODULE --queue gpu"]),
    ("an uncertain step",
     a_run(Wait(kind="step", name="pay", key="pay#2", attempt=1, parked="uncertain"), condition=Condition.UNCERTAIN),
     OWNED,
     ["A step may or may not have happened; somebody must say.",
      "  keepstep resolve order-7 'pay#2' --value JSON", "  keepstep resolve order-7 'pay#2' --error TEXT"]),
    ("an undo that gave up",
     a_run(Wait(kind="step", name="refund", key="refund#2", attempt=3, parked="undo_exhausted", error="ValueError: no"),
           condition=Condition.COMPENSATING),
     OWNED,
     ["an undo has failed", "  keepstep retry order-7   tries it again",
      "The undo 'refund' used up its 3 attempts.", "  The last error: ValueError: no",
      "  keepstep resolve order-7 'refund#2' --value null   it was done by hand"]),
    ("more than can be shown", a_run(Wait(kind="signal", name="a"), detail=Detail(more=80)), ASLEEP,
     ["It waits for the signal 'a'.", "It waits for 80 more things beside these."]),
    ("a once-step whose worker died", a_run(Wait(kind="step", name="pay", attempt=1, once=True)), ORPHANED,
     ["Step 'pay' was begun, and its worker died.", "asks the step's resolver what happened"]),
    ("undoing, and why",
     a_run(condition=Condition.COMPENSATING, detail=Detail(because="StepFailed: no label")), OWNED,
     ["It is undoing what it did.", "  The reason: StepFailed: no label"]),
    ("undoing", a_run(Wait(kind="step", name="refund", attempt=1), condition=Condition.COMPENSATING), OWNED,
     ["It is undoing what it did.", "It executes step 'refund'"]),
    ("blocked", a_run(condition=Condition.BLOCKED, detail=Detail(blocked=DIFF)), ASLEEP,
     ["It is blocked: The code does not fit the run's history: step 'b' was recorded.",
      "  history has    seq 4: step_completed b (b)", "  the code asks  a: step a   at shop.py:12 in buy",
      "Nothing was written. It goes on by itself when a worker with fitting code starts."]),
    ("blocked by code that asks nothing",
     a_run(condition=Condition.BLOCKED, detail=Detail(blocked={**DIFF, "asked": []})), ASLEEP,
     ["  the code asks  nothing more on any branch"]),
    ("quarantined", a_run(condition=Condition.QUARANTINED), ASLEEP,
     ["It is quarantined", "  keepstep retry order-7   lets it try again"]),
    ("paused", a_run(condition=Condition.PAUSED), ASLEEP, ["It is paused", "  keepstep resume order-7"]),
    ("being advanced", a_run(condition=Condition.NONE), OWNED, ["It is being advanced right now."]),
    ("its worker died while advancing it", a_run(condition=Condition.NONE), ORPHANED,
     ["It was being advanced when its worker died.", "Its worker is gone; another one takes it over."]),
    ("the last worker died", a_run(condition=Condition.NONE), Surroundings(now=NOW, is_owned=True),
     ["Its worker is gone, and no worker serves queue 'default'. Start one:", "  keepstep worker MODULE"]),
    ("just started", a_run(condition=Condition.NONE), ASLEEP, ["It waits for a worker to take it up."]),
    ("to begin later", a_run(condition=Condition.NONE), Surroundings(now=NOW, wake_at=LATER),
     [f"It begins at {local(LATER)} (30 min left)."]),
    ("nobody serves its queue", a_run(queue="gpu"), ALONE,
     ["No worker serves queue 'gpu'. Start one:", "  keepstep worker MODULE --queue gpu"]),
    ("nobody has its workflow", a_run(),
     Surroundings(now=NOW, served_queues=frozenset({"default"}), is_published=False),
     ["No worker has published the workflow 'buy'. Start one that has it:", "  keepstep worker MODULE"]),
    ("mail that nobody has read", a_run(), Surroundings(now=NOW, unread=1), ["Not yet taken up: 1 message to it."]),
    ("its own timeout", a_run(), Surroundings(now=NOW, timeout_at=LATER),
     [f"Its timeout ends it at {local(LATER)} (30 min left)."]),
    ("completed", a_run(status=Status.COMPLETED), ALONE, ["It completed."]),
    ("failed", a_run(status=Status.FAILED, error="ValueError: no"), ALONE,
     ["It failed: ValueError: no", "  keepstep retry order-7   lets it go on at the failed step"]),
    ("failed and undone", a_run(status=Status.FAILED, error="ValueError: no"), Surroundings(now=NOW, is_undone=True),
     ["It failed: ValueError: no", "What it had done was undone.",
      "  keepstep start buy [--input JSON] --id order-7 --if-closed restart   starts it anew"]),
    ("cancelled", a_run(status=Status.CANCELLED), ALONE, ["It was cancelled, and has undone what it had to."]),
    ("cancelled for a reason", a_run(status=Status.CANCELLED, error="cancelled: too late"), ALONE,
     ["It was cancelled: too late, and has undone what it had to."]),
    ("timed out", a_run(status=Status.TIMED_OUT), ALONE, ["It reached its timeout, and has undone what it had to."]),
    ("terminated", a_run(status=Status.TERMINATED, error="terminated: enough"), ALONE,
     ["It was terminated: enough; nothing was undone."]),
    ("continued", a_run(status=Status.CONTINUED), ALONE, ["It goes on as a new run of the same id."]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("run", "around", "said"), [each[1:] for each in SITUATIONS], ids=[each[0] for each in SITUATIONS]
)
def test_the_words_for(run: RunInfo, around: Surroundings, said: list[str]) -> None:
    lines = progress(run, around)
    for words in said:
        assert any(words in line for line in lines), "\n".join(lines)
    assert not any("\n" in line for line in lines)


@pytest.mark.parametrize(
    "condition", [Condition.BLOCKED, Condition.COMPENSATING, Condition.PAUSED, Condition.QUARANTINED]
)
def test_a_timeout_that_would_end_nothing_is_not_announced(condition: Condition) -> None:
    around = Surroundings(now=NOW, timeout_at=LATER)
    assert not any("timeout" in line for line in progress(a_run(condition=condition), around))


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.RUNNING])
def test_a_closed_run_needs_no_worker(status: Status) -> None:
    assert not any("worker" in line for line in progress(a_run(status=status), ALONE))
