from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepstep.journal import InvalidInput
from keepstep.runtime.data import to_seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0.0),
        (1.5, 1.5),
        (90, 90.0),
        (timedelta(minutes=2, milliseconds=5), 120.005),
        ("90s", 90.0),
        ("2h", 7200.0),
        ("7d", 604_800.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("500ms", 0.5),
        ("2w", 1_209_600.0),
        ("1.5h", 5400.0),
        ("0s", 0.0),
        (" 3s ", 3.0),
        ("1m1ms", 60.001),
    ],
)
def test_a_duration_may_be_given_in_seconds_as_timedelta_or_as_text(
    value: float | timedelta | str, seconds: float
) -> None:
    assert to_seconds(value) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "s",
        "90",
        "1x",
        "-1s",
        "1h-30m",
        "30m1h",
        "1s1s",
        "1,5h",
        "1h30",
        "soon",
        -1,
        -0.1,
        timedelta(-1),
        float("nan"),
        float("inf"),
        1e300,
        "99999w",
        None,
        True,
        [1],
        b"1s",
        "1_0s",
        "1s 1x",
    ],
)
def test_what_is_no_duration_is_refused_by_value_with_the_allowed_forms(value: object) -> None:
    with pytest.raises(InvalidInput, match="timedelta, or text") as caught:
        to_seconds(value)  # type: ignore[arg-type]
    assert repr(value)[:100] in str(caught.value)


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_units_add_up(days: int, hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    text = f"{days}d{hours}h{minutes}m{seconds}s{milliseconds}ms"
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
    assert to_seconds(text) == pytest.approx(expected.total_seconds())


def test_a_number_too_large_to_be_written_is_refused_too() -> None:
    with pytest.raises(InvalidInput, match="too long; give seconds"):
        to_seconds(10**5000)
