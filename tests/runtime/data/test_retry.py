import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepstep.journal import InvalidInput
from keepstep.runtime.data import Retry


class Declined(Exception):
    pass


class DeclinedForGood(Declined):
    pass


def test_without_jitter_waits_grow_by_the_factor_up_to_the_limit() -> None:
    retry = Retry(initial=1, factor=3, max_interval="20s", jitter=0)
    assert [retry.delay_seconds(n, random.Random(0)) for n in range(1, 6)] == [1, 3, 9, 20, 20]


@given(st.integers(1, 10_000), st.integers(), st.floats(0, 1))
def test_a_wait_stays_within_the_jitter_around_its_length(attempt: int, seed: int, jitter: float) -> None:
    retry = Retry(initial="200ms", max_interval=timedelta(seconds=30), jitter=jitter)
    plain = min(0.2 * 2.0 ** min(attempt - 1, 100), 30)
    wait = retry.delay_seconds(attempt, random.Random(seed))
    assert plain * (1 - jitter) - 1e-9 <= wait <= plain * (1 + jitter) + 1e-9


def test_equal_seeds_give_equal_waits_and_others_differ() -> None:
    waits = [Retry().delay_seconds(3, random.Random(seed)) for seed in (1, 1, 2)]
    assert waits[0] == waits[1] != waits[2]


def test_attempts_end_at_the_limit_and_never_without_one() -> None:
    assert [Retry(max_attempts=2).allows(n) for n in (1, 2)] == [True, False]
    assert Retry(max_attempts=None).allows(10**9)


@pytest.mark.parametrize(
    "entry", [Declined, "Declined", f"{__name__}.Declined", "DeclinedForGood", DeclinedForGood], ids=str
)
def test_errors_of_named_classes_and_their_subclasses_are_not_retried(entry: Any) -> None:
    retry = Retry(non_retryable=(KeyError, entry))
    assert not retry.is_retryable(DeclinedForGood())
    assert retry.is_retryable(ValueError())


def test_cancellation_and_exit_are_never_retried() -> None:
    assert not Retry().is_retryable(KeyboardInterrupt())
    assert Retry().is_retryable(Exception())


def test_a_list_or_a_single_class_will_do_for_non_retryable() -> None:
    assert Retry(non_retryable=[KeyError]).non_retryable == (KeyError,)  # type: ignore[arg-type]
    assert Retry(non_retryable=KeyError).non_retryable == (KeyError,)  # type: ignore[arg-type]
    assert Retry(non_retryable="Declined").non_retryable == ("Declined",)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_attempts": 0}, "max_attempts=0"),
        ({"max_attempts": 1.5}, "max_attempts=1.5"),
        ({"max_attempts": True}, "max_attempts=True"),
        ({"factor": 0.5}, "factor=0.5"),
        ({"factor": float("inf")}, "factor=inf"),
        ({"factor": float("nan")}, "factor=nan"),
        ({"factor": "2"}, "factor='2'"),
        ({"jitter": 1.1}, "jitter=1.1"),
        ({"initial": -1}, "-1"),
        ({"max_interval": "soon"}, "soon"),
        ({"non_retryable": (3,)}, "3 is neither"),
        ({"non_retryable": (int,)}, "int"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Retry(**options)
    assert named in str(caught.value)


def test_policies_are_values() -> None:
    assert Retry(initial=1) == Retry(initial=1)
    assert len({Retry(), Retry(), Retry(factor=3)}) == 2
    with pytest.raises(AttributeError):
        Retry().factor = 3  # type: ignore[misc]


def test_a_policy_is_the_same_after_a_way_as_plain_data() -> None:
    policy = Retry(max_attempts=None, initial="2s", max_interval=60, non_retryable=(KeyError, "mine.Declined"))
    again = Retry(**policy.as_plain())
    assert again.as_plain() == policy.as_plain()
    assert not again.is_retryable(KeyError("no"))
    assert again.is_retryable(ValueError("yes"))
