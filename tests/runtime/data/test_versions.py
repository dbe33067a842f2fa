"""What was written before a class changed is read as if it had been written after it."""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Generic, NamedTuple, NewType, Optional, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest

from keepstep.journal import InvalidInput, unseal
from keepstep.runtime.data import Signature, are_comparable, decoder, encode_value, upcast, versions
from keepstep.runtime.data.signature import DIGEST_BYTES
from keepstep.runtime.execution import digest_of

T = TypeVar("T")


@dataclass
class Row:
    """Version 2: had only ``sku``."""

    sku: str
    count: int


@dataclass
class Bill:
    """Version 3: ``rows`` were a list of texts, and ``currency`` was not there."""

    id: str
    rows: list[Row]
    currency: str
    made: datetime.date | None = None


class Packet(msgspec.Struct, tag="packet"):
    weight: Decimal


class Letter(msgspec.Struct, tag="letter", rename="camel"):
    page_count: int


class Spot(NamedTuple):
    x: int
    y: int


@attrs.define
class Place:
    street: str


class Model(pydantic.BaseModel):
    row: Row
    kind: str = pydantic.Field(alias="type")


class Typed(TypedDict):
    row: Row


@dataclass
class Crate(Generic[T]):
    content: T


@dataclass
class Branch:
    row: Row
    branches: list[Branch] = field(default_factory=list)


@pytest.fixture(autouse=True)
def own_versions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known: dict[str, Any] = {}
    monkeypatch.setattr(versions, "VERSIONED", known)
    for module in ("codec", "signature"):
        monkeypatch.setattr(f"keepstep.runtime.data.{module}.VERSIONED", known)
    decoder_cache_clear()
    yield
    decoder_cache_clear()


def decoder_cache_clear() -> None:
    from keepstep.runtime.data import codec

    codec._cached_decoder.cache_clear()


def with_counts() -> None:
    @upcast(Row, 1)
    def count_one(data: Any) -> Any:
        return {**data, "count": 1}


def with_bills() -> None:
    @upcast(Bill, 1)
    def rows_of_texts(data: Any) -> Any:
        return {**data, "rows": [{"sku": each} for each in data["rows"]]}

    @upcast(Bill, 2)
    def in_euros(data: Any) -> Any:
        return {**data, "currency": "EUR"}


OLD_ROW, NEW_ROW = {"sku": "a"}, Row("a", 1)
Alias = NewType("Alias", Row)


@pytest.mark.parametrize(
    ("annotation", "old", "new"),
    [
        (Row, OLD_ROW, NEW_ROW),
        (list[Row], [OLD_ROW], [NEW_ROW]),
        (tuple[Row, ...], [OLD_ROW], (NEW_ROW,)),
        (tuple[int, Row], [1, OLD_ROW], (1, NEW_ROW)),
        (deque[Row], [OLD_ROW], deque([NEW_ROW])),
        (dict[str, Row], {"x": OLD_ROW}, {"x": NEW_ROW}),
        (Optional[Row], OLD_ROW, NEW_ROW),  # noqa: UP045
        (Row | None, None, None),
        (list[Row] | None, [OLD_ROW], [NEW_ROW]),
        (Annotated[Row, "x"], OLD_ROW, NEW_ROW),
        (Crate[Row], {"content": OLD_ROW}, Crate(NEW_ROW)),
        (Crate[Crate[list[Row]]], {"content": {"content": [OLD_ROW]}}, Crate(Crate([NEW_ROW]))),
        (Branch, {"row": OLD_ROW, "branches": [{"row": OLD_ROW}]}, Branch(NEW_ROW, [Branch(NEW_ROW)])),
        (Typed, {"row": OLD_ROW}, {"row": NEW_ROW}),
        (Model, {"row": OLD_ROW, "type": "t"}, Model(row=NEW_ROW, type="t")),
        (list[Model], [{"row": OLD_ROW, "type": "t"}], [Model(row=NEW_ROW, type="t")]),
    ],
)
def test_wherever_a_class_is_in_a_type_it_is_found(annotation: Any, old: Any, new: Any) -> None:
    data = msgspec.json.encode(old)
    with_counts()
    assert decoder(annotation)(data) == new
    written = encode_value(new)
    assert decoder(annotation)(written) == new, "what is of the newest version is left alone"


def test_several_versions_are_gone_through_one_after_the_other() -> None:
    old = b'{"id":"b","rows":["a","b"],"made":"2026-11-27"}'
    with_counts()
    with_bills()
    bill = Bill("b", [Row("a", 1), Row("b", 1)], "EUR", datetime.date(2026, 11, 27))
    assert decoder(Bill)(old) == bill


def test_a_payload_says_which_versions_it_holds_and_only_those() -> None:
    plain = encode_value(NEW_ROW)
    assert plain == b'{"sku":"a","count":1}'
    with_counts()
    one = unseal(encode_value([NEW_ROW]))
    assert (one.type, one.type_version, one.content) == ("Row", 2, b'[{"sku":"a","count":1}]')
    with_bills()
    both = unseal(encode_value(Bill("b", [NEW_ROW], "EUR")))
    assert (both.type, both.type_version) == ("Bill=3,Row=2", 0)
    assert encode_value(["a", Place("x"), {"y": 1}])[:1] == b"["


def test_a_part_of_a_middle_version_begins_where_it_stands() -> None:
    with_counts()
    with_bills()
    written = encode_value(Bill("b", [NEW_ROW], "EUR"))

    @upcast(Bill, 3)
    def in_cents(data: Any) -> Any:
        assert data["rows"] == [{"sku": "a", "count": 1}], "a part of the newest version is left alone"
        return {**data, "id": data["id"].upper()}

    decoder_cache_clear()
    assert decoder(Bill)(written) == Bill("B", [NEW_ROW], "EUR")


def test_a_choice_is_made_by_the_tag() -> None:
    packet, letter = encode_value(Packet(Decimal("1.5"))), b'{"type":"letter","pages":3}'

    @upcast(Letter, 1)
    def renamed(data: Any) -> Any:
        return {"type": data["type"], "pageCount": data["pages"]}

    read = decoder(Packet | Letter)
    assert read(packet) == Packet(Decimal("1.5"))
    assert read(letter) == Letter(3)


def test_what_is_written_as_a_list_is_brought_up_as_a_list() -> None:
    @upcast(Spot, 1)
    def with_y(data: Any) -> Any:
        return [*data, 0]

    assert decoder(list[Spot])(b"[[1],[2]]") == [Spot(1, 0), Spot(2, 0)]
    assert unseal(encode_value(Spot(1, 2))).type == "Spot"


def ship(order: Bill, rows: list[Row], *, place: Row | None = None) -> Row:
    return NEW_ROW


def test_arguments_and_results_are_read_by_the_versions_of_each_part() -> None:
    signature = Signature.of(ship)
    old_args = b'{"args":[{"id":"b","rows":["a"]},[{"sku":"a"}]],"kwargs":{"place":{"sku":"a"}}}'
    old_result = b'{"sku":"a"}'
    with_counts()
    with_bills()
    bill = Bill("b", [NEW_ROW], "EUR")
    signature = Signature.of(ship)
    assert signature.decode_args(old_args) == ([bill, [NEW_ROW]], {"place": NEW_ROW})
    assert signature.decode_result(old_result) == NEW_ROW
    new_args = signature.encode_args((bill, [NEW_ROW]), {"place": NEW_ROW})
    assert unseal(new_args).type == "Bill=3,Row=2"
    assert signature.decode_args(new_args) == ([bill, [NEW_ROW]], {"place": NEW_ROW})
    assert signature.decode_result(signature.encode_result(NEW_ROW)) == NEW_ROW


def test_digests_of_one_version_are_compared_and_those_of_an_older_one_cannot_be() -> None:
    def digest(row: Row) -> bytes:
        return digest_of("ship", encode_value([row]))

    first, other = digest(Row("a", 1)), digest(Row("b", 1))
    with_counts()
    second, second_other = digest(Row("a", 1)), digest(Row("b", 1))

    @upcast(Row, 2)
    def same(data: Any) -> Any:
        return data

    third = digest(Row("a", 1))

    def comparable(recorded: bytes, now: bytes) -> bool:
        return are_comparable(recorded, now, DIGEST_BYTES)

    assert len(first) == DIGEST_BYTES
    assert comparable(first, other)
    assert comparable(second, second_other)
    assert second != second_other
    assert not comparable(first, second)
    assert not comparable(second, third)
    assert comparable(third, second), "what is newer than the code is a contradiction"


def test_what_was_written_by_newer_code_is_refused_in_words() -> None:
    with_counts()
    newer = encode_value(NEW_ROW)
    versions.VERSIONED.clear()
    with_bills()
    versions.VERSIONED["Row"] = (Row, [])
    decoder_cache_clear()
    with pytest.raises(InvalidInput, match="version 2 of Row, and this code has 1; deploy the newer code"):
        decoder(Row)(newer)


def test_an_upcaster_that_fails_is_named() -> None:
    @upcast(Row, 1)
    def broken(data: Any) -> Any:
        return data["none"]

    with pytest.raises(InvalidInput, match=r"the upcaster of Row from version 1 failed: KeyError\('none'\)"):
        decoder(Row)(b'{"sku":"a"}')


def test_what_an_upcaster_makes_is_checked_like_everything() -> None:
    @upcast(Row, 1)
    def wrong(data: Any) -> Any:
        return {**data, "count": "many"}

    with pytest.raises(InvalidInput, match=r"Expected `int`, got `str` at \.count"):
        decoder(Row)(b'{"sku":"a"}')


def test_versions_are_counted_without_gaps() -> None:
    with pytest.raises(InvalidInput, match="from version 1, not 2"):
        upcast(Row, 2)(lambda data: data)
    with_counts()
    with pytest.raises(InvalidInput, match="from version 2, not 3"):
        upcast(Row, 3)(lambda data: data)


def test_without_versions_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Any:
        raise AssertionError

    monkeypatch.setattr(versions, "_classes_in", refuse)
    monkeypatch.setattr(versions, "_reached", refuse)
    assert decoder(list[Row])(encode_value([NEW_ROW])) == [NEW_ROW]
