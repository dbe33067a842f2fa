"""Search: every store finds the runs that fit, in the order asked for, page by page, as soon as they are there."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from keepstep.journal import Commit, Condition, InvalidInput, Journal, ParentLink, Status
from keepstep.journal.attribute import Attribute
from keepstep.journal.errors import AttributeRefused
from keepstep.journal.field import FieldType
from keepstep.journal.memory import MemoryJournal
from keepstep.journal.search import Group, Place, Search
from keepstep.journal.searching import plan
from keepstep.search import read_grouping, read_search, runs_vocabulary
from tests.journal.scene import START, Scene, advance, event, get, new_run, picture, settle, start_owned

SECOND = 1_000_000


async def read(journal: Journal, text: str, namespace: str = "default") -> Search:
    types = {each.name: each.type for each in await journal.list_attributes(namespace)}
    return read_search(text, runs_vocabulary(types), START + 100 * SECOND)


async def found(journal: Journal, text: str, namespace: str = "default") -> list[str]:
    """The workflow ids of the runs that a filter fits, and as many of them as are counted."""
    search = await read(journal, text, namespace)
    page = await journal.search_runs(namespace, search, limit=1000)
    assert page.after is None
    assert await journal.count_found(namespace, search.where) == len(page.runs)
    return [run.workflow_id for run in page.runs]


RUNS: list[tuple[str, str, Status, Condition, dict[str, Any]]] = [
    ("w0", "fulfil", Status.RUNNING, Condition.NONE, {"customer": "c7", "amount": 5, "tags": ["new", "big"]}),
    ("w1", "fulfil", Status.COMPLETED, Condition.NONE, {"customer": "c7", "amount": 12.5, "paid": True}),
    ("w2", "refund", Status.RUNNING, Condition.WAITING, {"customer": "c8", "paid": False}),
    ("w3", "refund", Status.FAILED, Condition.NONE, {"amount": -3, "due": "2026-11-27T09:00:00Z"}),
    ("w4", "fulfil", Status.RUNNING, Condition.PAUSED, {"customer": "d1", "due": "2026-11-27T09:30:00+02:00"}),
    ("w5", "fulfil", Status.CANCELLED, Condition.NONE, {}),
]


@pytest.fixture
async def shelf(journal: Journal) -> Journal:
    """Runs that begin a second after each other; a closed one is closed at the scene's time."""
    for n, (workflow_id, type_, status, condition, attributes) in enumerate(RUNS):
        parent = ParentLink("run-of-w0", "child") if n == 5 else None
        started = await journal.start(
            new_run(
                workflow_id,
                run_id=f"run-of-{workflow_id}",
                type=type_,
                started_at=START + n * SECOND,
                parent=parent,
                attributes=attributes,
                queue="q" if n else "other",
            )
        )
        await journal.commit(Commit(run_id=started.run_id, version=started.version, status=status, condition=condition))
    await journal.start(new_run("w0", namespace="elsewhere", attributes={"customer": "c7"}))
    return journal


FILTERS: list[tuple[str, list[str]]] = [
    ("", ["w5", "w4", "w3", "w2", "w1", "w0"]),
    ("WorkflowType = 'fulfil' AND Status = 'running' AND customer = 'c7' ORDER BY StartTime DESC", ["w0"]),
    ("Status = 'Running'", ["w4", "w2", "w0"]),
    ("ExecutionStatus IN ('failed', 'Canceled')", ["w5", "w3"]),
    ("Status != 'running'", ["w5", "w3", "w1"]),
    ("Condition = 'waiting'", ["w2"]),
    ("Condition IN ('paused', 'blocked')", ["w4"]),
    ("Condition IS NULL", ["w5", "w3", "w1", "w0"]),
    ("Condition != 'paused'", ["w2"]),
    ("WorkflowType IN ('refund', 'unknown')", ["w3", "w2"]),
    ("WorkflowType NOT IN ('refund')", ["w5", "w4", "w1", "w0"]),
    ("WorkflowType = 'refund' AND WorkflowType = 'fulfil'", []),
    ("WorkflowId = 'w3'", ["w3"]),
    ("WorkflowId STARTS_WITH 'w'", ["w5", "w4", "w3", "w2", "w1", "w0"]),
    ("WorkflowId STARTS_WITH ''", ["w5", "w4", "w3", "w2", "w1", "w0"]),
    ("WorkflowId NOT STARTS_WITH 'w1' AND WorkflowId < 'w3'", ["w2", "w0"]),
    ("RunId IN ('run-of-w1', 'run-of-w2')", ["w2", "w1"]),
    ("customer = 'c7'", ["w1", "w0"]),
    ("customer != 'c7'", ["w4", "w2"]),
    ("NOT customer = 'c7'", ["w5", "w4", "w3", "w2"]),
    ("customer IS NULL", ["w5", "w3"]),
    ("customer IS NOT NULL AND customer STARTS_WITH 'c'", ["w2", "w1", "w0"]),
    ("customer NOT STARTS_WITH 'c'", ["w4"]),
    ("customer > 'c7'", ["w4", "w2"]),
    ("amount >= 5", ["w1", "w0"]),
    ("amount BETWEEN -3 AND 5", ["w3", "w0"]),
    ("amount NOT BETWEEN -3 AND 5", ["w1"]),
    ("amount < 0 OR paid = TRUE", ["w3", "w1"]),
    ("paid != true", ["w2"]),
    ("due = '2026-11-27T09:00:00Z'", ["w3"]),
    ("due < '2026-11-27T09:00:00Z'", ["w4"]),
    ("tags = 'big'", ["w0"]),
    ("tags IN ('new', 'big')", ["w0"]),
    ("tags != 'small'", ["w0"]),
    ("tags STARTS_WITH 'ne'", ["w0"]),
    ("tags IS NULL", ["w5", "w4", "w3", "w2", "w1"]),
    ("Queue = 'other'", ["w0"]),
    ("ParentRunId = 'run-of-w0'", ["w5"]),
    ("ParentWorkflowId = 'w0'", ["w5"]),
    ("ParentWorkflowId IS NULL AND Status = 'failed'", ["w3"]),
    ("HistoryLength >= 1 AND Language = 'python' AND amount IS NULL", ["w5", "w4", "w2"]),
    ("CloseTime IS NULL", ["w4", "w2", "w0"]),
    ("CloseTime >= '2020-01-01' AND ExecutionDuration IS NOT NULL", ["w5", "w3", "w1"]),
    ("StartTime < NOW - '98s'", ["w1", "w0"]),
    ("StartTime >= NOW - '96s' AND StartTime < NOW", ["w5", "w4"]),
    ("NOT (Status = 'running' OR WorkflowType = 'fulfil')", ["w3"]),
    ("ORDER BY StartTime", ["w0", "w1", "w2", "w3", "w4", "w5"]),
    ("ORDER BY WorkflowId DESC", ["w5", "w4", "w3", "w2", "w1", "w0"]),
    ("ORDER BY amount DESC", ["w1", "w0", "w3", "w5", "w4", "w2"]),
    ("ORDER BY amount", ["w3", "w0", "w1", "w2", "w4", "w5"]),
    ("ORDER BY WorkflowType, customer DESC", ["w4", "w1", "w0", "w5", "w2", "w3"]),
    ("Status = 'running' ORDER BY customer DESC, StartTime ASC", ["w4", "w2", "w0"]),
]  # fmt: skip


async def test_runs_that_fit_a_filter_are_found_in_its_order_and_counted(shelf: Journal) -> None:
    assert [(text, await found(shelf, text)) for text, _ in FILTERS] == FILTERS


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_pages_of_any_order_follow_each_other_without_gap_or_overlap(shelf: Journal, limit: int) -> None:
    for text, expected in FILTERS:
        search = await read(shelf, text)
        seen: list[str] = []
        after: Place | None = None
        for _ in range(20):
            page = await shelf.search_runs("default", search, after=after, limit=limit)
            assert len(page.runs) <= limit
            seen += [run.workflow_id for run in page.runs]
            after = page.after
            if after is None:
                break
        assert (text, seen) == (text, expected)


GROUPS: list[tuple[str, str, list[Group]]] = [
    ("Status", "", [(Status.RUNNING, 3), (Status.CANCELLED, 1), (Status.COMPLETED, 1), (Status.FAILED, 1)]),
    ("ExecutionStatus", "customer = 'c7'", [(Status.COMPLETED, 1), (Status.RUNNING, 1)]),
    ("WorkflowType", "", [("fulfil", 4), ("refund", 2)]),
    ("Type", "Status = 'running' OR Status = 'failed'", [("fulfil", 2), ("refund", 2)]),
    ("Condition", "", [(None, 4), (Condition.PAUSED, 1), (Condition.WAITING, 1)]),
    ("Queue", "WorkflowId < 'w3'", [("q", 2), ("other", 1)]),
    ("ParentRunId", "", [(None, 5), ("run-of-w0", 1)]),
    ("customer", "", [("c7", 2), (None, 2), ("c8", 1), ("d1", 1)]),
    ("customer", "WorkflowType = 'fulfil'", [("c7", 2), ("d1", 1), (None, 1)]),
    ("customer", "Status = 'timed_out'", []),
    ("paid", "", [(None, 4), (0, 1), (1, 1)]),
    ("paid", "customer = 'c8'", [(0, 1)]),
    ("tags", "", [(None, 5), ("big", 1), ("new", 1)]),
    ("tags", "customer = 'c7' AND amount > 0", [("big", 1), ("new", 1), (None, 1)]),
]


async def test_runs_that_fit_are_counted_by_the_values_of_a_field(shelf: Journal) -> None:
    types = {each.name: each.type for each in await shelf.list_attributes("default")}
    for name, text, groups in GROUPS:
        field = read_grouping(name, runs_vocabulary(types))
        where = (await read(shelf, text)).where
        assert await shelf.count_groups("default", where, field, 10) == groups, (name, text)
        values = len([value for value, _ in groups if value is not None])
        assert await shelf.count_groups("default", where, field, values) == groups
        if values:
            with pytest.raises(InvalidInput, match=f"more than {values - 1} values of {field.name}"):
                await shelf.count_groups("default", where, field, values - 1)


async def test_a_namespace_finds_its_own_runs_and_attributes_only(shelf: Journal) -> None:
    assert await found(shelf, "customer = 'c7'", "elsewhere") == ["w0"]
    assert [each.name for each in await shelf.list_attributes("elsewhere")] == ["customer"]
    assert await found(shelf, "", "nowhere") == []
    assert await shelf.list_attributes("nowhere") == []


async def test_an_attribute_gets_the_type_of_its_first_value(shelf: Journal) -> None:
    types = {each.name: each.type.value for each in await shelf.list_attributes("default")}
    assert types == {
        "amount": "double", "customer": "keyword", "due": "datetime", "paid": "bool", "tags": "keyword_list",
    }  # fmt: skip


async def test_what_no_type_fits_is_kept_with_the_run_and_is_no_attribute(journal: Journal) -> None:
    odd = {"map": {"a": 1}, "numbers": [1, 2], "nothing": None, "long": "x" * 2001, "none": [], "huge": 10**400}
    started = await journal.start(new_run(attributes=odd))
    assert (await get(journal, started.run_id)).attributes == odd
    assert await journal.list_attributes("default") == []


async def test_a_commit_that_changes_attributes_is_found_by_the_new_ones_at_once(scene: Scene) -> None:
    one, other = await scene.open(), await scene.open()
    run = await start_owned(one, attributes={"customer": "c1", "stage": "new"})
    await advance(one, run, attributes={"stage": "picked", "tags": ["a", "b"]})
    for journal in (one, other):
        assert await found(journal, "stage = 'new'") == []
        assert await found(journal, "stage = 'picked' AND customer = 'c1' AND tags = 'b'") == [run.workflow_id]
    await advance(one, run, attributes={"customer": None, "tags": ["c"]})
    assert await found(other, "customer IS NOT NULL OR tags = 'a' OR tags = 'b'") == []
    assert await found(other, "tags = 'c' AND stage = 'picked'") == [run.workflow_id]


async def test_commits_of_one_group_leave_what_the_last_one_says(journal: Journal) -> None:
    run = await start_owned(journal)
    await settle(*(advance(journal, run, attributes={"n": n, f"only{n % 2}": "x"}) for n in range(5)))
    assert (await get(journal, run.run_id)).attributes == {"n": 4, "only0": "x", "only1": "x"}
    assert await found(journal, "n = 4 AND only0 = 'x' AND only1 = 'x'") == [run.workflow_id]
    assert await found(journal, "n < 4") == []


MISFITS: list[tuple[dict[str, Any], str]] = [
    ({"customer": 7}, "attribute 'customer' is registered as keyword, which 7 does not fit"),
    ({"amount": "5"}, "registered as double"),
    ({"amount": True}, "registered as double"),
    ({"paid": 1}, "registered as bool"),
    ({"due": "tomorrow"}, "registered as datetime"),
    ({"due": "2026-11-27T09:00:00"}, "with a time zone"),
    ({"tags": "new"}, "registered as keyword_list"),
    ({"tags": ["x"] * 101}, "lists of up to 100 texts"),
    ({"customer": "x" * 2001}, "text of up to 2000 bytes"),
    ({"items": 1.5}, "registered as int"),
    ({"items": 1 << 63}, "whole numbers of 64 bits"),
    ({"Status": "x"}, "cannot be named 'Status'"),
    ({"ExecutionTime": "x"}, "cannot be named 'ExecutionTime'"),
    ({"": "x"}, "has 1 to 512 characters"),
    ({"note": "a\0b"}, "attribute 'note' has a NUL character"),
    ({"note": {"deep": [{"\0": 1}]}}, "attribute 'note' has a NUL character"),
    ({f"a{n}": n for n in range(101)}, "at most 100 attributes"),
]


async def test_a_value_that_does_not_fit_is_refused_and_nothing_is_changed(shelf: Journal) -> None:
    await shelf.register_attributes([Attribute("default", "items", FieldType.INT)])
    run = await start_owned(shelf, workflow_id="picky", attributes={"customer": "c9"})
    before = await picture(shelf, run.run_id)
    known = await shelf.list_attributes("default")
    child = new_run("child", parent=ParentLink(run.run_id, "child"))
    for attributes, why in MISFITS:
        with pytest.raises(AttributeRefused, match=why):
            await shelf.start(new_run("refused", attributes=attributes))
        with pytest.raises(AttributeRefused, match=why):
            await advance(shelf, run, events=(event(),), attributes=attributes)
        with pytest.raises(AttributeRefused, match=why):
            start = (msgspec.structs.replace(child, attributes=attributes),)
            await advance(shelf, run, events=(event(),), start=start)
    assert await picture(shelf, run.run_id) == before
    assert await shelf.list_attributes("default") == known
    assert await shelf.find_run("default", "refused") is None
    assert await found(shelf, "customer = 'c9'") == ["picky"]


async def test_an_attribute_is_registered_once_and_keeps_its_type(scene: Scene) -> None:
    one, other = await scene.open(), await scene.open()
    items = Attribute("default", "items", FieldType.INT)
    await one.register_attributes([items])
    await other.register_attributes([items])
    due = Attribute("default", "due", FieldType.DATETIME)
    with pytest.raises(AttributeRefused, match="'items' is registered as int, and keeps that type"):
        await other.register_attributes([due, Attribute("default", "items", FieldType.KEYWORD)])
    with pytest.raises(AttributeRefused, match="cannot be named 'StartTime'"):
        await other.register_attributes([due, Attribute("default", "StartTime", FieldType.KEYWORD)])
    assert await one.list_attributes("default") == [items]
    await other.start(new_run(attributes={"items": 3}))
    assert await found(one, "items = 3") == ["order-1"]


async def test_of_two_that_register_a_name_at_once_one_is_refused(scene: Scene) -> None:
    one, other = await scene.open(), await scene.open()
    outcomes = await settle(
        one.start(new_run("a", attributes={"x": "text"})), other.start(new_run("b", attributes={"x": 1}))
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, AttributeRefused)]
    assert len(refused) == 1
    assert len(await found(one, "x IS NOT NULL")) == 1


async def test_a_namespace_has_a_limited_number_of_attributes(journal: Journal) -> None:
    for n in range(0, 1000, 100):
        await journal.start(new_run(f"w{n}", attributes={f"a{i}": i for i in range(n, n + 100)}))
    with pytest.raises(AttributeRefused, match="put what differs from run to run into values, not into names"):
        await journal.start(new_run("more", attributes={"another": 1}))
    await journal.start(new_run("same", attributes={"a0": 5}))
    assert await found(journal, "a0 = 5") == ["same"]


async def test_runs_that_retention_removes_are_not_found_any_more(shelf: Journal) -> None:
    assert await shelf.purge("default", START + 1000 * SECOND) == 3
    assert await found(shelf, "customer = 'c7'") == ["w0"]
    assert await found(shelf, "paid IS NOT NULL") == ["w2"]


async def test_a_run_that_gets_the_number_of_a_removed_one_is_not_found_by_what_that_had(scene: Scene) -> None:
    """A process that comes later counts on from the runs that are there."""
    one = await scene.open()
    started = await one.start(new_run("old", attributes={"customer": "c7", "tags": ["a", "b"]}))
    await one.commit(Commit(run_id=started.run_id, version=started.version, status=Status.COMPLETED))
    assert await one.purge("default", START + 1000 * SECOND) == 1
    other = await scene.open()
    await other.start(new_run("new"))
    assert await found(other, "customer = 'c7' OR tags = 'a'") == []
    assert await found(other, "customer IS NULL") == ["new"]


async def test_a_run_that_goes_on_as_another_is_found_by_what_each_has(journal: Journal) -> None:
    run = await start_owned(journal, attributes={"round": 1})
    following = new_run(run.workflow_id, continued_from=run.run_id, attributes={"round": 2})
    await advance(journal, run, events=(event(),), status=Status.CONTINUED, start=(following,))
    assert await found(journal, "round = 1 AND Status = 'continued'") == [run.workflow_id]
    assert await found(journal, "round = 2 AND Status = 'running'") == [run.workflow_id]


async def test_an_order_that_would_sort_too_many_runs_is_refused_with_what_to_do_instead(shelf: Journal) -> None:
    wanted = await read(shelf, "ORDER BY Queue, WorkflowId")
    with patch.object(plan, "GATHERED_MAX", 0), patch.object(plan, "SORTED_MAX", 5):
        if not isinstance(shelf, MemoryJournal):
            with pytest.raises(InvalidInput, match="ORDER BY Queue, WorkflowId would have to look at more than 5 runs"):
                await shelf.search_runs("default", wanted)
    with patch.object(plan, "GATHERED_MAX", 0), patch.object(plan, "SORTED_MAX", 6):
        page = await shelf.search_runs("default", wanted)
        assert [run.workflow_id for run in page.runs] == ["w0", "w1", "w2", "w3", "w4", "w5"]


async def test_a_page_looks_at_a_bounded_number_of_runs_and_says_where_to_go_on(shelf: Journal) -> None:
    wanted = await read(shelf, "Queue = 'other'")
    if isinstance(shelf, MemoryJournal):
        return
    with patch.object(plan, "WALKED_MAX", 2):
        pages = [await shelf.search_runs("default", wanted, limit=1)]
        while pages[-1].after is not None:
            pages.append(await shelf.search_runs("default", wanted, limit=1, after=pages[-1].after))
    assert [[run.workflow_id for run in page.runs] for page in pages] == [[], [], ["w0"], []]


async def test_pages_are_not_moved_by_runs_that_come_and_go_between_them(shelf: Journal) -> None:
    wanted = await read(shelf, "")
    first = await shelf.search_runs("default", wanted, limit=2)
    await shelf.start(new_run("younger", started_at=START + 100 * SECOND))
    await shelf.purge("default", START + 1000 * SECOND)
    rest = await shelf.search_runs("default", wanted, limit=10, after=first.after)
    assert [run.workflow_id for run in (*first.runs, *rest.runs)] == ["w5", "w4", "w2", "w0"]
