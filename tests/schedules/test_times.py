"""Which moments a spec means: fields, zones, and the nights in which clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep import InvalidInput
from keepstep.schedules import Calendar, upcoming
from keepstep.schedules.spec import read_spec, timing_of


def at(zone: str, *parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone))  # type: ignore[misc,arg-type]


def utc(times: list[datetime]) -> list[str]:
    return [each.astimezone(UTC).strftime("%m-%d %H:%M") for each in times]


def local(times: list[datetime]) -> list[str]:
    return [each.strftime("%m-%d %H:%M") for each in times]


def test_nine_on_working_days_in_berlin_stays_nine_when_summer_ends() -> None:
    times = upcoming(4, after=at("Europe/Berlin", 2026, 10, 22, 12), cron="0 9 * * MON-FRI", tz="Europe/Berlin")
    assert local(times) == ["10-23 09:00", "10-26 09:00", "10-27 09:00", "10-28 09:00"]
    assert utc(times)[:2] == ["10-23 07:00", "10-26 08:00"]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "expected"),
    [
        ("Europe/Berlin", "30 2 * * *", (2026, 3, 28, 12), ["03-29 01:30", "03-30 00:30"]),
        ("America/New_York", "30 2 * * *", (2026, 3, 7, 12), ["03-08 07:30", "03-09 06:30"]),
        ("Australia/Lord_Howe", "15 2 * * *", (2026, 10, 3, 12), ["10-03 15:45", "10-04 15:15"]),
        ("America/Santiago", "0 0 * * *", (2026, 9, 5, 12), ["09-06 04:00", "09-07 03:00"]),
    ],
)
def test_a_time_that_does_not_exist_fires_once_by_the_clock_before(
    zone: str, cron: str, after: tuple[int, ...], expected: list[str]
) -> None:
    assert utc(upcoming(2, after=at(zone, *after), cron=cron, tz=zone)) == expected


@pytest.mark.parametrize(
    ("zone", "cron", "after", "expected"),
    [
        ("Europe/Berlin", "30 2 * * *", (2026, 10, 24, 12), ["10-25 00:30", "10-26 01:30"]),
        ("America/New_York", "30 1 * * *", (2026, 10, 31, 12), ["11-01 05:30", "11-02 06:30"]),
        ("Australia/Lord_Howe", "45 1 * * *", (2026, 4, 4, 12), ["04-04 14:45", "04-05 15:15"]),
    ],
)
def test_a_time_that_is_there_twice_fires_at_the_first(
    zone: str, cron: str, after: tuple[int, ...], expected: list[str]
) -> None:
    assert utc(upcoming(2, after=at(zone, *after), cron=cron, tz=zone)) == expected


def test_what_fires_in_every_hour_follows_real_time_through_both_changes() -> None:
    spring = upcoming(4, after=at("Europe/Berlin", 2026, 3, 29, 0, 30), cron="0 * * * *", tz="Europe/Berlin")
    assert utc(spring) == ["03-29 00:00", "03-29 01:00", "03-29 02:00", "03-29 03:00"]
    autumn = upcoming(4, after=at("Europe/Berlin", 2026, 10, 25, 1, 30), cron="0 * * * *", tz="Europe/Berlin")
    assert utc(autumn) == ["10-25 00:00", "10-25 01:00", "10-25 02:00", "10-25 03:00"]
    lord_howe = upcoming(
        5, after=at("Australia/Lord_Howe", 2026, 4, 5, 1, 20), cron="*/15 * * * *", tz="Australia/Lord_Howe"
    )
    assert local(lord_howe) == ["04-05 01:30", "04-05 01:45", "04-05 01:30", "04-05 01:45", "04-05 02:00"]
    assert len(set(utc(lord_howe))) == 5


def test_a_zone_of_half_an_hour_and_a_day_that_was_left_out() -> None:
    assert utc(upcoming(1, after=at("Asia/Kolkata", 2026, 5, 1), cron="0 9 * * *", tz="Asia/Kolkata")) == [
        "05-01 03:30"
    ]
    apia = upcoming(3, after=at("Pacific/Apia", 2011, 12, 28, 12), cron="0 10 * * *", tz="Pacific/Apia")
    assert local(apia) == ["12-29 10:00", "12-31 10:00", "01-01 10:00"]


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    start=st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)),
    cron=st.sampled_from(
        ["0 4 * * *", "5,35 12-14 1,15 * *", "0 5 L * *", "17 9 * * MON#2", "0 6 13 * FRI", "0 7 29 2 *"]
    ),
)
def test_away_from_the_changes_it_agrees_with_cronsim(zone: str, start: datetime, cron: str) -> None:
    after = start.replace(tzinfo=ZoneInfo(zone))
    reference = CronSim(cron, after)
    assert upcoming(5, after=after, cron=cron, tz=zone) == [next(reference) for _ in range(5)]


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC"]),
    start=st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)),
    cron=st.sampled_from(["30 2 * * *", "*/7 * * * *", "0 0 * * *", "*/20 1-3 * * *", "30 23 * * *"]),
)
def test_every_local_day_has_each_of_its_times_and_the_moments_grow(zone: str, start: datetime, cron: str) -> None:
    days = 3
    after = start.replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=ZoneInfo(zone))
    pattern = timing_of(read_spec(cron=cron, tz=zone))._patterns[0]
    times = [each for each in upcoming(1500, after=after, cron=cron, tz=zone) if each < after + timedelta(days=days)]
    moments = [each.timestamp() for each in times]
    assert moments == sorted(set(moments))
    wanted = set[float]()
    for n in range(days + 1):
        midnight = datetime.combine((after + timedelta(days=n)).date(), datetime.min.time(), ZoneInfo(zone))
        for minute in range(24 * 60):
            first = midnight + timedelta(minutes=minute)
            if first.hour in pattern.hours and first.minute in pattern.minutes:
                second = first.replace(fold=1)
                is_repeated = second.timestamp() > first.timestamp() and len(pattern.hours) == 24
                wanted |= {first.timestamp(), *([second.timestamp()] if is_repeated else [])}
    end = (after + timedelta(days=days)).timestamp()
    assert set(moments) == {each for each in wanted if after.timestamp() < each < end}


def test_intervals_are_counted_from_the_epoch_and_may_be_shifted() -> None:
    after = datetime(2026, 5, 1, 10, 7, tzinfo=UTC)
    assert utc(upcoming(2, after=after, every="15m")) == ["05-01 10:15", "05-01 10:30"]
    assert utc(upcoming(2, after=after, every="15m", offset="5m")) == ["05-01 10:20", "05-01 10:35"]


def test_several_specs_are_joined_and_what_both_mean_is_one() -> None:
    after = datetime(2026, 5, 1, 8, tzinfo=UTC)
    times = upcoming(4, after=after, cron=["0 9 * * *", "0 10 * * *"], every="1h", end_at=at("UTC", 2026, 5, 1, 11))
    assert utc(times) == ["05-01 09:00", "05-01 10:00", "05-01 11:00"]


def test_a_calendar_means_any_of_what_is_coarser_and_the_lowest_of_what_is_finer() -> None:
    after = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
    assert utc(upcoming(2, after=after, calendar=Calendar(weekday="SAT", hour=9))) == ["05-02 09:00", "05-09 09:00"]
    assert utc(upcoming(2, after=after, calendar=Calendar(month=[6, 7]))) == ["06-01 00:00", "07-01 00:00"]
    assert utc(upcoming(2, after=after, calendar=Calendar(minute="*/20"))) == ["05-01 08:40", "05-01 09:00"]
    assert utc(upcoming(2, after=after, calendar=Calendar(year=2028, month=2, day="L"))) == ["02-29 00:00"]
    assert utc(upcoming(1, after=after, calendar=Calendar(day=13, weekday="FRI"))) == ["11-13 00:00"]


def test_what_is_excluded_does_not_fire() -> None:
    after = datetime(2026, 12, 23, 12, tzinfo=UTC)
    times = upcoming(3, after=after, cron="0 9 * * *", exclude=[date(2026, 12, 25), Calendar(weekday="SAT,SUN")])
    assert utc(times) == ["12-24 09:00", "12-28 09:00", "12-29 09:00"]
    assert upcoming(3, after=after, cron="0 9 * * *", exclude=Calendar(hour=9)) == []


def test_a_day_that_is_excluded_is_left_out_whole_and_the_first_second_after_it_is_not() -> None:
    for day in (date(2026, 3, 29), date(2026, 10, 25), date(2026, 5, 1)):
        before = at("Europe/Berlin", day.year, day.month, day.day - 1 or 30, 23, 59, 58)
        before = before.replace(month=4) if day.day == 1 else before
        times = upcoming(3, after=before, every="1s", tz="Europe/Berlin", exclude=day)
        assert [f"{each:%d %H:%M:%S}" for each in times][1:] == [
            f"{day + timedelta(days=1):%d} 00:00:00",
            f"{day + timedelta(days=1):%d} 00:00:01",
        ]


def test_a_schedule_begins_and_ends_when_told() -> None:
    start, end = datetime(2026, 5, 3, 9, tzinfo=UTC), datetime(2026, 5, 4, 9, tzinfo=UTC)
    times = upcoming(5, after=datetime(2026, 5, 1, tzinfo=UTC), cron="0 9 * * *", start_at=start, end_at=end)
    assert times == [start, end]


def test_jitter_delays_a_firing_by_as_much_each_time_and_never_beyond_the_next() -> None:
    timing = timing_of(read_spec(every="10s", jitter="1h"))
    delays = {timing.due_at(nominal, "s") - nominal for nominal in range(0, 10_000_000_000, 10_000_000)}
    assert len(delays) > 900
    assert all(0 <= each < 10_000_000 for each in delays)
    assert timing.due_at(10_000_000, "s") == timing.due_at(10_000_000, "s") != timing.due_at(10_000_000, "t")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"cron": "0 25 * * *"}, r"the hour '25' is not understood; it takes 0-23"),
    ({"cron": "* * * *"}, "has 4 fields; it takes five"),
    ({"cron": "0 0 30 2 *"}, "no month has such a day"),
    ({"cron": "0 0 * * FOO"}, "the weekday 'FOO' is not understood"),
    ({"cron": "0 */0 * * *"}, "the hour"),
    ({"cron": 5}, "cron takes text"),
    ({"cron": "0 9 * * *", "tz": "Europe/Belin"}, "tz='Europe/Belin' is no time zone"),
    ({"every": "100ms"}, "once a second at most"),
    ({"every": "soon"}, "every: 'soon' is not a duration"),
    ({"every": "1m", "jitter": -1}, "jitter: the duration"),
    ({"calendar": Calendar()}, "calendar has no fields"),
    ({"calendar": Calendar(minute=61)}, r"the minute '61' is not understood; it takes 0-59"),
    ({"calendar": Calendar(year="99")}, "the year '99' is not understood"),
    ({"calendar": "0 9 * * *"}, "calendar takes a keepstep.schedules.Calendar"),
    ({"every": "1m", "exclude": "2026-12-25"}, "exclude takes dates and Calendars"),
    ({"every": "1m", "start_at": datetime(2026, 1, 1)}, "start_at takes a datetime with a time zone"),
    ({"every": "1m", "start_at": at("UTC", 2026, 2, 1), "end_at": at("UTC", 2026, 1, 1)}, "end_at comes before"),
    ({}, "a schedule needs a time"),
]


@pytest.mark.parametrize(("spec", "message"), BAD)
def test_a_spec_that_is_none_is_refused_by_an_error_that_names_the_field(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        upcoming(**spec)
