"""The SQL stores against the one in memory: the same runs, in the same order, whatever is asked and however it is read.

Hypothesis makes predicates and orders over runs whose values collide, are missing, or lie at the edges of their types.
How many entries of an index are few, and after how many a walk stops, is drawn too, so that every way of reading a page
is taken.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keepstep.journal import Commit, Condition, Journal, ParentLink, Status
from keepstep.journal import field as fields
from keepstep.journal.attribute import Attribute
from keepstep.journal.field import UNSORTED, Field, FieldType, Value
from keepstep.journal.search import (
    GROUPED,
    UNGROUPED,
    All,
    Either,
    Not,
    OneOf,
    Order,
    Place,
    Predicate,
    Present,
    Search,
    Within,
)
from keepstep.journal.searching import plan
from keepstep.testing.postgres import Access
from tests.journal.scene import SCENES, START, PostgresScene, Scene, new_run

RUNS = 80

ATTRIBUTES = {
    "customer": FieldType.KEYWORD,
    "items": FieldType.INT,
    "amount": FieldType.DOUBLE,
    "paid": FieldType.BOOL,
    "due": FieldType.DATETIME,
    "tags": FieldType.KEYWORD_LIST,
    "never": FieldType.KEYWORD,
}
GIVEN: dict[str, list[Any]] = {
    "customer": ["c7", "c8", "C7", "", "ä", "\U0001f600", "\ue000", "a'b", "x\\u0000y", "0"],
    "items": [0, 1, -1, 2**63 - 1, -(2**63)],
    "amount": [0, -0.0, 0.1, 0.1 + 0.2, 0.3, 2**53 + 1, 1e300, -5],
    "paid": [True, False],
    "due": ["2026-11-27T09:00:00Z", "2026-11-27T10:00:00.000001+01:00", "1969-12-31T23:59:59.9999999-15:30"],
    "tags": [["a"], ["a", "b", "a"], ["ä", "b"], []],
}
TYPES = ["fulfil", "refund", "ship"]

SOUGHT: dict[Field, list[Value]] = {
    fields.WORKFLOW_TYPE: [*TYPES, "unknown"],
    fields.WORKFLOW_ID: ["w1", "w12", "w3", "x"],
    fields.RUN_ID: ["run-of-w1", "run-of-w40", "x"],
    fields.STATUS: list(Status),
    fields.CONDITION: [each for each in Condition if each],
    fields.START_TIME: [START + n for n in range(0, 20, 3)],
    fields.CLOSE_TIME: [START, START + 1],
    fields.DURATION: [0, -5, -10],
    fields.QUEUE: ["q", "other"],
    fields.LANGUAGE: ["python"],
    fields.HISTORY_LENGTH: [1, 2],
    fields.PARENT_ID: ["w0", "w1"],
    fields.PARENT_RUN_ID: ["run-of-w0", "run-of-w1"],
    Field("customer", FieldType.KEYWORD, True): ["c7", "c8", "C7", "", "ä", "\U0001f600", "a'b", "x\\u0000y", "b"],
    Field("items", FieldType.INT, True): [0, 1, -1, 2**63 - 1],
    Field("amount", FieldType.DOUBLE, True): [0.0, 0.1, 0.3, 0.1 + 0.2, float(2**53), -5.0, 1e300],
    Field("paid", FieldType.BOOL, True): [0, 1],
    Field("due", FieldType.DATETIME, True): [1_795_770_000_000_000, 1_795_770_000_000_001, 0],
    Field("tags", FieldType.KEYWORD_LIST, True): ["a", "b", "ä", "c"],
    Field("never", FieldType.KEYWORD, True): ["c7"],
    Field("unregistered", FieldType.KEYWORD, True): ["c7"],
}
RANGED = [field for field in SOUGHT if field.type not in (FieldType.STATUS, FieldType.CONDITION)]
SORTED = [field for field in SOUGHT if field not in UNSORTED and field.type is not FieldType.KEYWORD_LIST]

COUNTED = [field for field in SOUGHT if field.type in GROUPED and field not in UNGROUPED]


def _one_of(field: Field) -> st.SearchStrategy[Predicate]:
    return st.builds(
        OneOf, st.just(field), st.lists(st.sampled_from(SOUGHT[field]), max_size=3, unique=True).map(tuple)
    )


def _within(field: Field) -> st.SearchStrategy[Predicate]:
    edge = st.none() | st.sampled_from(SOUGHT[field])
    return st.builds(Within, st.just(field), edge, edge, st.booleans(), st.booleans())


tests: st.SearchStrategy[Predicate] = st.one_of(
    st.sampled_from(list(SOUGHT)).flatmap(_one_of),
    st.sampled_from(RANGED).flatmap(_within),
    st.builds(Present, st.sampled_from(list(SOUGHT))),
)


def _joined(inner: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
    parts = st.lists(inner, max_size=3).map(tuple)
    return st.one_of(st.builds(All, parts), st.builds(All, parts), st.builds(Either, parts), st.builds(Not, inner))


predicates = st.recursive(tests, _joined, max_leaves=5)
orders = st.lists(st.builds(Order, st.sampled_from(SORTED), st.booleans()), max_size=2).map(tuple)
searches = st.builds(Search, predicates, orders)


async def fill(journal: Journal) -> None:
    """The same runs on every store."""
    chance = random.Random(7)
    await journal.register_attributes([Attribute("default", name, type_) for name, type_ in ATTRIBUTES.items()])
    for n in range(RUNS):
        attributes = {name: chance.choice(values) for name, values in GIVEN.items() if chance.random() < 0.5}
        parent = ParentLink(f"run-of-w{chance.randrange(3)}", "child") if chance.random() < 0.3 else None
        started = await journal.start(
            new_run(
                f"w{n}",
                run_id=f"run-of-w{n}",
                type=chance.choice(TYPES),
                started_at=START + chance.randrange(20),
                queue=chance.choice(["q", "other"]),
                attributes=attributes,
                parent=parent,
            )
        )
        status = chance.choice([Status.RUNNING, Status.RUNNING, *Status])
        condition = chance.choice(list(Condition)) if status is Status.RUNNING else Condition.NONE
        change = Commit(run_id=started.run_id, version=started.version, status=status, condition=condition)
        await journal.commit(change)


async def read_all(journal: Journal, search: Search, limit: int) -> list[str]:
    seen: list[str] = []
    after: Place | None = None
    for _ in range(40 * RUNS):
        page = await journal.search_runs("default", search, after=after, limit=limit)
        assert len(page.runs) <= limit
        seen += [run.run_id for run in page.runs]
        after = page.after
        if after is None:
            return seen
    raise AssertionError("the pages do not end")


@pytest.fixture(scope="module")
def stores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[asyncio.Runner, dict[str, Journal]]]:
    path: Path = tmp_path_factory.mktemp("searching")
    access: Access = request.getfixturevalue("postgres_server")
    scenes: dict[str, Scene] = {
        "memory": SCENES["memory"](path), "sqlite": SCENES["sqlite"](path), "postgres": PostgresScene(access.url),
    }  # fmt: skip

    async def open_all() -> dict[str, Journal]:
        opened = {name: await scene.open() for name, scene in scenes.items()}
        for journal in opened.values():
            await fill(journal)
        return opened

    async def close_all() -> None:
        for scene in scenes.values():
            await scene.close()

    with asyncio.Runner() as runner:
        yield runner, runner.run(open_all())
        runner.run(close_all())


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(searches, st.sampled_from([1, 3, 7, 100]), st.sampled_from([0, 0, 5, 2000]), st.sampled_from([1, 10, 5000]))
def test_every_store_finds_the_same_runs_in_the_same_order(
    stores: tuple[asyncio.Runner, dict[str, Journal]], search: Search, limit: int, gathered_max: int, walked_max: int
) -> None:
    runner, journals = stores

    async def compare() -> None:
        expected = await read_all(journals["memory"], search, limit)
        assert len(expected) == len(set(expected))
        for name in ("sqlite", "postgres"):
            assert await read_all(journals[name], search, limit) == expected, name
            assert await journals[name].count_found("default", search.where) == len(expected), name

    with patch.object(plan, "GATHERED_MAX", gathered_max), patch.object(plan, "WALKED_MAX", walked_max):
        runner.run(compare())


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(predicates | st.just(All()), st.sampled_from(COUNTED))
def test_every_store_counts_as_many_runs_of_each_value(
    stores: tuple[asyncio.Runner, dict[str, Journal]], where: Predicate, field: Field
) -> None:
    runner, journals = stores

    async def compare() -> None:
        expected = await journals["memory"].count_groups("default", where, field, 100)
        if field.type is not FieldType.KEYWORD_LIST:
            assert sum(count for _, count in expected) == await journals["memory"].count_found("default", where)
        for name in ("sqlite", "postgres"):
            assert await journals[name].count_groups("default", where, field, 100) == expected, name

    runner.run(compare())
