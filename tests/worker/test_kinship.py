"""What children hear of a parent that was ended by force, when nobody has its code at hand."""

from __future__ import annotations

from typing import Any

import msgspec

from keepstep.runtime import history
from keepstep.runtime.child import ABANDON, CANCEL, TERMINATE
from keepstep.runtime.history import pack
from keepstep.runtime.parent_word import ParentWord
from keepstep.worker.kinship import words_after_termination


def started(key: str, policy: str) -> tuple[str, str, bytes]:
    data = history.ChildStarted(b"", f"run-{key}", f"id-{key}", policy)
    return history.CHILD_STARTED, key, pack(data)


def closed(key: str) -> tuple[str, str, bytes]:
    return history.CHILD_CLOSED, key, pack(history.ChildClosed("completed", b""))


def test_children_that_have_not_ended_hear_what_was_agreed_and_those_left_alone_hear_nothing() -> None:
    events: list[Any] = [
        (history.STEP_COMPLETED, "a step", b""),
        started("ended", CANCEL),
        started("open", CANCEL),
        started("to be ended", TERMINATE),
        closed("ended"),
        started("left alone", ABANDON),
        closed("never begun"),
    ]
    words = words_after_termination("shop", "parent", events)
    heard = {each.workflow_id: msgspec.msgpack.decode(each.data, type=ParentWord) for each in words}
    assert {id: word.policy for id, word in heard.items()} == {
        "id-open": CANCEL,
        "id-to be ended": TERMINATE,
    }
    assert {each.namespace for each in words} == {"shop"}
    assert {word.parent_run_id for word in heard.values()} == {"parent"}
