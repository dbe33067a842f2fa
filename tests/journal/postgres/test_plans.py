"""A statement that was planned for an empty journal does not keep that plan when the journal has grown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from keepstep.journal.postgres.address import parse_address
from keepstep.journal.postgres.connection import connect
from keepstep.journal.postgres.statement import Statement
from keepstep.journal.postgres.wire import BEGIN_SNAPSHOT, PLAN_ANEW_FACTOR, PLAN_ANEW_FIRST, Wire

FIND = Statement("SELECT n FROM crowd WHERE n = $1", "int4")


@pytest.fixture
def wire(postgres_url: str) -> Iterator[Wire]:
    with closing(connect(parse_address(postgres_url))) as wire:
        tell(wire, "CREATE TEMP TABLE crowd (n int PRIMARY KEY)")
        yield wire


def tell(wire: Wire, text: str) -> None:
    wire.ask(Statement(text, is_kept=False))


def plan(wire: Wire) -> str:
    """How the server goes about the statement that the wire has prepared."""
    return str(wire.ask(Statement("EXPLAIN EXECUTE k1 (1)", is_kept=False))[0][0])


def prefer(wire: Wire, setting: str) -> None:
    """What the next plan would be is another one from now on."""
    for other in ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan", "enable_seqscan"):
        tell(wire, f"SET {other} TO {'on' if other == setting else 'off'}")


def ask(wire: Wire, times: int) -> None:
    for _ in range(times):
        wire.ask(FIND, 1)


def test_statements_are_planned_anew_when_some_were_sent_and_again_when_there_are_many_more(wire: Wire) -> None:
    prefer(wire, "enable_indexscan")
    ask(wire, 1)
    prefer(wire, "enable_seqscan")
    assert "Index Scan" in plan(wire)
    ask(wire, PLAN_ANEW_FIRST - 2)
    assert "Index Scan" in plan(wire)
    ask(wire, 1)
    assert "Seq Scan" in plan(wire)
    prefer(wire, "enable_indexscan")
    ask(wire, PLAN_ANEW_FIRST * (PLAN_ANEW_FACTOR - 1) - 1)
    assert "Seq Scan" in plan(wire)
    ask(wire, 1)
    assert "Index Scan" in plan(wire)


def test_a_transaction_that_has_begun_is_left_alone(wire: Wire) -> None:
    prefer(wire, "enable_indexscan")
    ask(wire, 1)
    prefer(wire, "enable_seqscan")
    wire.begin(BEGIN_SNAPSHOT)
    ask(wire, PLAN_ANEW_FIRST + 1)
    assert "Index Scan" in plan(wire)
    wire.commit()
    wire.begin(BEGIN_SNAPSHOT)
    assert "Seq Scan" in plan(wire)
    wire.commit()
