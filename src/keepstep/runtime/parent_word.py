"""Parent word: what a parent says of what is to become of its child; heard by ``worker.kinship``."""

from __future__ import annotations

import msgspec

from keepstep.journal import NewMessage

PARENT_WORD = "parent"
"""Kind of the message."""


class ParentWord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One of the policies of ``runtime.child``, and why."""

    parent_run_id: str
    policy: str
    reason: str


def word_to_child(namespace: str, workflow_id: str, word: ParentWord) -> NewMessage:
    """What tells a child what is to become of it."""
    return NewMessage(namespace=namespace, workflow_id=workflow_id, kind=PARENT_WORD, data=msgspec.msgpack.encode(word))
