"""Of a union of classes without tags, an object says by its fields which one it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
import pytest

from keepstep.journal import InvalidInput
from keepstep.runtime.data import Signature, decoder, encode


@dataclass
class Paid:
    amount: Decimal
    receipt: str = ""


@dataclass
class Refused:
    reason: str


@attrs.define
class Pending:
    since: int
    notes: list[str] = attrs.field(factory=list)


@dataclass
class Reason:
    reason: str
    more: list[str] = field(default_factory=list)


@dataclass
class Same:
    reason: str


Answer = Paid | Refused | Pending | None


@pytest.mark.parametrize("value", [Paid(Decimal("1.50")), Refused("no"), Pending(3, ["x"]), None])
def test_each_class_of_a_union_comes_back_as_itself(value: Any) -> None:
    assert decoder(Answer)(encode(value)) == value

    def pay() -> Answer:
        return value  # type: ignore[no-any-return]

    signature = Signature.of(pay, names={"Answer": Answer})
    assert signature.decode_result(signature.encode_result(value)) == value


def test_of_two_classes_that_read_an_object_it_is_of_the_one_that_would_write_it_so() -> None:
    read = decoder(Refused | Reason)
    assert read(encode(Refused("no"))) == Refused("no")
    assert read(encode(Reason("no"))) == Reason("no")


def test_an_object_of_none_of_the_classes_is_refused() -> None:
    with pytest.raises(InvalidInput, match="none of its classes fits"):
        decoder(Paid | Refused)(b'{"other":1}')


def test_classes_that_cannot_be_told_apart_are_refused_before_any_value_comes() -> None:
    with pytest.raises(InvalidInput, match="have the same fields, and could not be told apart; use tagged"):
        decoder(Refused | Same)


def test_texts_of_two_kinds_are_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidInput, match="JSON has one kind of text for them all"):
        decoder(bytes | str)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Path, Path("/var/lib/a b")),
        (dict[str, PurePosixPath], {"x": PurePosixPath("a/b")}),
        (dict[str, object], {"a": [1, None]}),
    ],
)
def test_paths_are_text_and_objects_are_any_json(annotation: Any, value: Any) -> None:
    assert decoder(annotation)(encode(value)) == value


def test_dicts_that_make_what_is_missing_still_do() -> None:
    from collections import Counter, defaultdict

    read: Any = decoder(defaultdict[str, list[int]])(b'{"a":[1]}')
    read["b"].append(2)
    assert read == {"a": [1], "b": [2]}
    counted: Any = decoder(Counter[str])(encode(Counter("aab")))
    assert counted.most_common(1) == [("a", 2)]
    with pytest.raises(InvalidInput, match="got `str`"):
        decoder(Counter[str])(b'{"a":"x"}')
