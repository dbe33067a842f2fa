"""Limits as users write them: few words, and errors that say what was expected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import keepstep
from keepstep import InvalidInput
from keepstep.journal import Limits, Rate
from keepstep.queues.declaration import forget
from keepstep.queues.limits import as_plain, limits_of
from keepstep.queues.waiting import WaitingOptions

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ("100/m", Rate(100, 60 * SECOND)),
        ("20/30s", Rate(20, 30 * SECOND)),
        ("5 / 100ms", Rate(5, SECOND // 10)),
        ((100, "1m"), Rate(100, 60 * SECOND)),
        ((7, 2.5), Rate(7, 2_500_000)),
    ],
)
def test_a_rate_is_a_number_of_starts_and_a_time(given: Any, rate: Rate) -> None:
    assert limits_of("q", {"rate": given}) == Limits(rate=rate)


@pytest.mark.parametrize("shown", ["100/m", "20/30s", "5/100ms", "1/d", "3/2h"])
def test_a_rate_is_shown_as_it_is_written(shown: str) -> None:
    given = {"rate": shown, "rate_per_key": shown}
    assert as_plain(limits_of("q", given)) == given


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"concurrency": 0}, "concurrency of queue 'q' is a whole number from 1 on"),
        ({"per_key": True}, "per_key of queue 'q' is a whole number"),
        ({"per_worker": "4"}, "per_worker of queue 'q' is a whole number"),
        ({"rate": "many"}, "the rate of queue 'q' is a number of starts and a time, such as \"100/m\""),
        ({"rate": "5/x"}, "the rate of queue 'q' is a number of starts and a time"),
        ({"rate": "0/s"}, "at least 1 start"),
        ({"weights": {"gold": 0}}, "the weight of 'gold' on queue 'q' is a whole number from 1"),
        ({"weights": 3}, "the weights of queue 'q'"),
        ({"burst": 3}, "queue 'q' has no limit 'burst'; there are concurrency, per_worker"),
    ],
)
def test_what_is_no_limit_is_refused_with_what_was_expected(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        limits_of("q", given)
    assert said in str(refused.value)


def test_a_queue_is_declared_once_in_a_program() -> None:
    assert keepstep.queue("declared once", concurrency=2) == "declared once"
    keepstep.queue("declared once", concurrency=3)  # the same module, loaded again
    with pytest.raises(InvalidInput, match="declare it once, and import it"):
        exec("import keepstep; keepstep.queue('declared once', concurrency=4)", {"__name__": "another"})
    forget("declared once")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"delay": "1h", "start_at": datetime(2030, 1, 1, tzinfo=UTC)}, "give one of them"),
        ({"start_at": datetime(2030, 1, 1)}, "a datetime with a time zone"),
        ({"delay": -1}, "negative"),
        ({"priority": "high"}, "of which small ones go first"),
        ({"fairness_key": ""}, "a fairness_key"),
    ],
)
def test_what_a_start_cannot_say_is_refused(given: dict[str, Any], said: str) -> None:
    options = WaitingOptions(**given)
    with pytest.raises(InvalidInput) as refused:
        options.ticket("walk", "q", options.not_before(0))
    assert said in str(refused.value)
