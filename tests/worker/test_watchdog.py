"""A watchdog interrupts the turn that takes too long, and no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keepstep.worker.watchdog import TurnTooLong, Watchdog


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    watchdog = Watchdog(turn_seconds_max=0.05)
    yield watchdog
    watchdog.stop()


def hang() -> None:
    while True:
        pass


def test_a_long_replay_is_many_turns(watchdog: Watchdog) -> None:
    watchdog.enter()
    for _ in range(100):
        watchdog.go_on()
    assert watchdog.leave() is False


def test_code_that_swallows_the_interruption_does_not_get_on(watchdog: Watchdog) -> None:
    watchdog.enter()
    with pytest.raises(TurnTooLong):
        hang()
    with pytest.raises(TurnTooLong):
        watchdog.go_on()
    watchdog.enter()
    assert watchdog.leave() is False
