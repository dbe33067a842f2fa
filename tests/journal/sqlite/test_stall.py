"""What counts as a time in which this process could not write."""

from __future__ import annotations

from collections.abc import Sequence

from keepstep.journal import SystemClock
from keepstep.journal.deciding.operation import Operation
from keepstep.journal.sqlite.flush import Flusher
from keepstep.journal.writing import stall
from keepstep.journal.writing.renewal import Renewals
from keepstep.journal.writing.stall import Stalls
from keepstep.journal.writing.writer import Writer


class Time:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class SlowFlusher(Flusher):
    """Flushes that write nothing and take time."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.seconds = 0.0

    def flush(self, group: Sequence[Operation], *, one_by_one: bool) -> None:
        self.time.now += self.seconds

    def tidy(self) -> None:
        """There is no file."""


def make_writer(time: Time) -> tuple[Writer, SlowFlusher, Renewals]:
    flusher, renewals = SlowFlusher(time), Renewals(time)
    flusher.hints = list  # type: ignore[method-assign]
    flusher.kinds = list  # type: ignore[method-assign]
    return Writer(flusher, renewals, SystemClock(), lambda *answer: None, time), flusher, renewals


def play_round(writer: Writer) -> None:
    assert list(writer.round(())) == []


def test_the_last_stall_is_found_that_was_long_enough() -> None:
    stalls = Stalls()
    for seconds, ended_at in ((3.0, 10.0), (0.5, 20.0), (1.0, 30.0), (0.2, 40.0), (0.01, 50.0)):
        stalls.note(seconds, ended_at)
    assert [stalls.last_ended_at(seconds) for seconds in (0.1, 0.4, 1.0, 2.9)] == [40.0, 30.0, 10.0, 10.0]
    assert stalls.last_ended_at(3.0) == float("-inf")


def test_only_so_many_stalls_are_kept_and_none_is_made_shorter_by_that() -> None:
    stalls = Stalls()
    count = 10 * stall.STALLS_KEPT_MAX
    for n in range(count):
        stalls.note(1.0 + 1.0 / (n + 1), float(n))
        assert stalls.last_ended_at(1.0) == n
    assert len(stalls._stalls) <= stall.STALLS_KEPT_MAX


def test_resting_is_no_stall_and_coming_late_is_one() -> None:
    time = Time()
    writer, _, _ = make_writer(time)
    play_round(writer)
    for _ in range(5):
        time.now += writer.idle_seconds()
        play_round(writer)
    assert writer.steady_seconds(1.0) == float("inf")
    time.now += writer.idle_seconds() + 0.6
    assert (writer.steady_seconds(1.0), writer.steady_seconds(10.0)) == (0.0, float("inf"))
    play_round(writer)
    time.now += 0.1
    assert writer.steady_seconds(1.0) < 0.2
    assert writer.steady_seconds(10.0) == float("inf")


def test_a_slow_flush_is_a_stall_for_as_long_as_it_takes() -> None:
    time = Time()
    writer, flusher, renewals = make_writer(time)
    renewals.keep("L", 3.0)
    renewals.hasten()
    flusher.seconds = 1.8
    play_round(writer)
    assert writer.steady_seconds(3.0) < 0.1
    assert writer.steady_seconds(4.0) == float("inf")
