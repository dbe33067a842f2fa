"""After a claim with an unknown outcome, the worker looks at what its lease holds, and once more when it is over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from keepstep.worker.unheard import Doubt


def test_a_look_is_wanted_while_in_doubt_and_once_after_it_however_late_that_is() -> None:
    now = 100.0
    clock: Any = SimpleNamespace(monotonic=lambda: now)
    doubt = Doubt(clock, 5.0)
    assert not doubt.wants_a_look()
    doubt.begin()
    assert doubt.wants_a_look()
    now = 104.0
    assert doubt.wants_a_look()
    now = 500.0
    assert doubt.wants_a_look()
    assert not doubt.wants_a_look()
    doubt.begin()
    assert doubt.wants_a_look()
