"""What PostgreSQL's own functions make of attributes is what the journal makes of them: other tests trust that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keepstep.journal import InvalidInput
from keepstep.journal.attribute import TYPES, type_of, values_of
from keepstep.journal.errors import AttributeRefused
from keepstep.journal.field import RESERVED, FieldType
from keepstep.journal.moment import moment_of
from keepstep.journal.postgres import migration
from keepstep.journal.postgres.address import parse_address
from keepstep.journal.postgres.connection import open_plainly
from tests.journal.postgres.conftest import Open
from tests.journal.scene import START
from tests.journal.test_search import found

times = st.from_regex(
    r"(0000|0001|1969|2024|2026|9999)-(0[0-3]|1[0-3])-(0[01]|[23][0-9])[Tt ](0|2)[0-4]:[0-6][0-9]:[0-6][09]"
    r"(\.[0-9]{1,9})?([Zz]|[+-](0[0-9]|1[0-6]):[0-6][0-9]|)",
    fullmatch=True,
)
texts = st.one_of(
    st.text(max_size=8), times, st.sampled_from(["x" * 2000, "x" * 2001, "ä" * 1000, "ä" * 1001, "\\u0000"])
)
numbers = st.one_of(
    st.integers(),
    st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**307, 10**308, 10**309, -(10**400)]),
    st.floats(allow_nan=False, allow_infinity=False),
)
values = st.one_of(
    st.none(), st.booleans(), numbers, texts, st.lists(texts, max_size=3), st.lists(st.booleans() | texts, max_size=3),
    st.sampled_from([["a"] * 100, ["a"] * 101, {"a": 1}, {}, [[]]]),
)  # fmt: skip


@pytest.fixture(scope="module")
def db(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    server = request.getfixturevalue("postgres_server")
    url = server.create_database("attributes_by_sql")
    address = parse_address(url)
    with open_plainly(address) as connection:
        migration.migrate(connection, address, create=True)
        connection.execute("SET search_path TO keepstep")
        yield connection
    server.drop_database("attributes_by_sql")


_INDEXED = b"""
SELECT text_value, int_value, double_value, started_at FROM attribute_values WHERE run = 1024 ORDER BY nth
"""


def ask(db: psycopg.Connection[Any], question: str, *given: Any) -> Any:
    row = db.execute(question.encode(), given).fetchone()
    assert row is not None
    return row[0]


TYPE_AND_FITS = b"""
SELECT attribute_type(value),
    array(SELECT attribute_fits(type, value) FROM unnest(%s::text[]) WITH ORDINALITY AS t(type, n) ORDER BY n)
FROM (SELECT %s::json AS value)
"""


def fits(kind: FieldType, value: Any) -> bool:
    try:
        values_of("x", kind, value)
    except AttributeRefused:
        return False
    return True


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=values)
def test_types_and_what_fits_them_are_the_same_in_sql(db: psycopg.Connection[Any], value: Any) -> None:
    sealed = msgspec.json.encode(value).decode()
    there = db.execute(TYPE_AND_FITS, ([kind.value for kind in TYPES], sealed)).fetchone()
    value = json.loads(sealed)
    assert there == (type_of(value), [fits(kind, value) for kind in TYPES])


@settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.one_of(times, st.text(max_size=30).filter(lambda text: "\0" not in text)))
def test_a_time_is_the_same_microsecond_in_sql(db: psycopg.Connection[Any], text: str) -> None:
    assert ask(db, "SELECT moment_of(%s)", text) == moment_of(text)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=values.filter(lambda value: "\\u0000" not in json.dumps(value)))
def test_what_is_indexed_is_the_same_in_sql(db: psycopg.Connection[Any], value: Any) -> None:
    sealed = msgspec.json.encode({"x": value}).decode()
    kind = type_of(json.loads(sealed)["x"])
    with db.transaction(force_rollback=True):
        db.execute(b"SELECT index_attributes(0::smallint, 1024, 5, 'default', %s)", (sealed,))
        rows = db.execute(_INDEXED).fetchall()
    expected = [] if kind is None else list(values_of("x", kind, json.loads(sealed)["x"]))
    found = [value for *row, _ in rows for value in row if value is not None]
    assert (len(found), set(found)) == (len(expected), set(expected))
    assert all(started_at == 5 for *_, started_at in rows)


@pytest.mark.parametrize(("number", "fits"), [("5e-324", True), ("-5e-324", True), ("0e-400", True), ("1e-330", False)])
def test_a_number_that_is_too_small_for_a_double_is_told_before_it_is_indexed(
    db: psycopg.Connection[Any], number: str, fits: bool
) -> None:
    """Written by hand: what Python writes is a double."""
    assert ask(db, "SELECT attribute_fits('double', %s::json)", number) is fits
    with db.transaction(force_rollback=True):
        db.execute(b"SELECT index_attributes(0::smallint, 1024, 5, 'default', %s)", (f'{{"x": {number}}}',))
        assert len(db.execute(_INDEXED).fetchall()) == fits


def test_names_that_every_run_has_are_refused_in_sql(db: psycopg.Connection[Any]) -> None:
    for name in sorted(RESERVED):
        refusal = ask(db, "SELECT refused_attribute('default', %s)", json.dumps({"a": 1, name: "x"}))
        assert refusal == f"an attribute cannot be named '{name}', which every run has; choose another name"
    assert ask(db, "SELECT refused_attribute('default', '{\"a\": 1}')") is None


async def test_a_schema_of_version_3_finds_runs_by_the_attributes_that_they_have(
    open_journal: Open, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first value gives the type; what does not fit it is shown, and not found."""
    steps = migration.migrations()
    address = parse_address(postgres_url)
    with monkeypatch.context() as older, psycopg.connect(postgres_url) as old:
        older.setattr(migration, "migrations", lambda: steps[:3])
        migration.migrate(old, address, create=True)
        old.execute("SET search_path TO keepstep")
        for n, attributes in enumerate(({"a": 1, "b": ["x"], "Status": "y"}, {"a": "text", "c": "\0"}, None, {"a": 2})):
            old.execute(
                "INSERT INTO runs (shard, run, started_at, epoch, closed_at, bumps, last_seq, claimed_seq, inbox_size, "
                "strikes, format, status, condition, has_tasks, run_id, namespace, workflow_id, language, type, queue, "
                "input_digest, detail, status_text, attributes) VALUES (0, %s, %s, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, "
                "%s, 'default', %s, 'python', 'fulfil', 'q', '', '', '', %s)",
                ((n + 1) * 1024, START + n, f"r{n}", f"w{n}", attributes and json.dumps(attributes)),
            )
    journal = await open_journal()
    assert {each.name: each.type.value for each in await journal.list_attributes("default")} == {
        "a": "double", "b": "keyword_list",
    }  # fmt: skip
    assert await found(journal, "a > 0") == ["w3", "w0"]
    assert await found(journal, "b = 'x' AND Status = 'running'") == ["w0"]
    with pytest.raises(InvalidInput):
        await found(journal, "c IS NULL")
