"""Several versions of a workflow's code live in one process, and which of them is the newest is plain."""

from __future__ import annotations

import random

import pytest

from keepstep import InvalidInput, workflow
from keepstep.runtime.code_version import order_of, pinned_queue, split_queue
from keepstep.runtime.registry import find_code, find_version, find_workflow, forget


def test_numbers_in_versions_count_as_numbers() -> None:
    ordered = ["", "1", "1.2", "1.9", "1.10", "2", "2a", "2b", "10", "2026-03-01", "2026-11-01"]
    shuffled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(shuffled, key=order_of) == ordered


@pytest.mark.parametrize("queue", ["default", "gpu (big)", "q (other, version 3)", " (w, version 1)x"])
def test_where_a_pinned_run_is_offered_tells_its_queue_and_its_version(queue: str) -> None:
    for name, version in (("w", "1"), ("w (x", "1)"), ("order", "2026 (b)")):
        assert split_queue(pinned_queue(queue, name, version), name) == (queue, version)
        assert split_queue(pinned_queue(queue, name, version), "another")[1] is None
    assert split_queue(queue, "order") == (queue, None)


async def any_code() -> None:
    """Every version does nothing."""


def define(version: str, *continues: str) -> object:
    return workflow(name="versioned", version=version, pinned=True, continues=continues)(any_code)


def test_each_version_is_found_and_so_is_what_continues_it() -> None:
    try:
        first, third, tenth = define("1"), define("3", "2"), define("10")
        assert find_workflow("versioned") is tenth
        assert [find_version("versioned", each) for each in ("1", "2", "3", "10", "4")] == [
            first, third, third, tenth, None,
        ]  # fmt: skip
        assert find_code("versioned", "default") is tenth
        assert find_code("versioned", pinned_queue("default", "versioned", "2")) is third
    finally:
        forget("workflow", "versioned")
    assert find_workflow("versioned") is None


def test_two_workflows_of_one_name_are_refused_unless_both_have_versions() -> None:
    try:
        define("1")

        async def other() -> None:
            """At another place."""

        other.__qualname__ = "other"
        for options in ({}, {"version": "1"}):
            with pytest.raises(InvalidInput, match="two workflows are named 'versioned'"):
                workflow(name="versioned", **options)(other)  # type: ignore[call-overload]
        workflow(name="versioned", version="2")(other)
    finally:
        forget("workflow", "versioned")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pinned": True}, "need a version"),
        ({"continues": ["1"]}, "need a version"),
        ({"version": "2", "continues": ["1"]}, "say pinned=True"),
        ({"version": "2", "pinned": True, "continues": "1"}, "a list of versions"),
        ({"version": "v" * 101}, "1 to 100 characters"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        workflow(name="versioned_badly", **options)(any_code)  # type: ignore[call-overload]
