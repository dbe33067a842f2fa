"""A deed is a function of the caller's, and may hold whatever the caller has."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any

from keepstep.journal import Commit, Deed, NewEvent


class Caller:
    """Somebody who keeps the commit for which they work."""

    commit: Commit

    def do(self, _: Any) -> Sequence[NewEvent]:
        return ()


def test_a_commit_whose_deed_leads_back_to_it_is_freed() -> None:
    caller = Caller()
    caller.commit = Commit(run_id="r", epoch=1, deed=Deed(do=caller.do, seconds_max=1.0))
    there = weakref.ref(caller)
    del caller
    gc.collect()
    assert there() is None
