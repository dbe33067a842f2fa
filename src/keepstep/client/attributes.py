"""Attributes: what the runs of a namespace can be searched by, beside the fields that every run has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keepstep.journal import InvalidInput, Journal
from keepstep.journal.attribute import TYPES, Attribute, index
from keepstep.journal.field import FieldType


class Attributes:
    """``engine.attributes``."""

    def __init__(self, journal: Journal, namespace: str) -> None:
        self._journal = journal
        self._namespace = namespace

    async def list(self) -> dict[str, str]:
        """The type of each, by name."""
        return {each.name: each.type.value for each in await self._journal.list_attributes(self._namespace)}

    async def register(self, /, **types: str) -> None:
        """Give attributes their types before the first run has a value: ``register(due="datetime", items="int")``.

        Said again it changes nothing. Without it, an attribute gets the type of its first value. A type stays.

        :param types: of each name keyword, int, double, bool, datetime or keyword_list.

        Raises ``AttributeRefused`` for a name that every run has already, or one that has another type; then none of
        them gets a type.
        """
        await self._journal.register_attributes(
            [Attribute(self._namespace, name, _type(name, type_)) for name, type_ in types.items()]
        )


async def admit(journal: Journal, namespace: str, attributes: Mapping[str, Any]) -> None:
    """Make sure that runs can have these attributes, whenever they are started: a type that is given stays.

    Raises ``AttributeRefused`` for what they cannot have.
    """
    known = {each.name: each.type for each in await journal.list_attributes(namespace)}
    new = index(attributes, known, namespace).new
    if new:
        await journal.register_attributes([Attribute(namespace, name, type_) for name, type_ in new.items()])


def _type(name: str, text: str) -> FieldType:
    if text not in TYPES:
        allowed = ", ".join(each.value for each in TYPES)
        raise InvalidInput(f"attribute {name!r} cannot be of type {text!r:.100}; the types are {allowed}")
    return FieldType(text)
