"""What a worker serves follows what is defined, though names and queues are made only once for each set."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keepstep import workflow
from keepstep.runtime import registry
from keepstep.worker.served import Served


@pytest.fixture(autouse=True)
def own_names() -> Iterator[None]:
    with registry.emptied():
        yield


def define(name: str, version: str = "") -> None:
    @workflow(name=name, version=version, pinned=bool(version))
    async def anything() -> None: ...


def test_a_workflow_that_is_defined_later_is_served() -> None:
    served = Served()
    define("served_first")
    assert served.names() == ("served_first",)
    define("served_later")
    assert served.names() == ("served_first", "served_later")
    registry.forget("workflow", "served_first")
    assert served.names() == ("served_later",)


def test_a_version_that_is_pinned_later_gets_its_queue() -> None:
    served = Served()
    define("served_pinned", "1")
    assert served.queues(["fast", "slow"]) == (
        "fast",
        "slow",
        "fast (served_pinned, version 1)",
        "slow (served_pinned, version 1)",
    )
    define("served_pinned", "2")
    assert served.ticket_keys(["fast"]) == (
        "served_pinned",
        "fast (served_pinned, version 1)",
        "fast (served_pinned, version 2)",
    )


def test_names_are_not_made_again_while_nothing_changes() -> None:
    served = Served()
    define("served_once")
    assert served.names() is served.names()
    assert served.queues(["fast"]) is served.queues(["fast"])
