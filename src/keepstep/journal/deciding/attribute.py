"""Attributes: what a commit or a start says of a run, made ready to be searched by, or refused.

A type is given for good, so that whoever has read it once may rely on it. It is registered before anything is drawn: a
commit that is refused after that leaves a name with a type behind, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keepstep.journal.attribute import ATTRIBUTES_OF_RUN_MAX, Attribute, index, new_types
from keepstep.journal.commit import Commit, NewRun
from keepstep.journal.errors import AttributeRefused
from keepstep.journal.field import FieldType, Value

from .codes import from_json, json_text
from .head import Head
from .picture import Picture


def check_new_run(picture: Picture, new: NewRun) -> None:
    """Raises ``AttributeRefused`` for attributes that the run cannot have."""
    if new.attributes:
        check_attributes(picture, new.namespace, new.attributes)


def check_attributes(picture: Picture, namespace: str, attributes: Mapping[str, Any]) -> None:
    """Raises ``AttributeRefused`` for attributes that a run of the namespace cannot have."""
    _check_count(len(attributes))
    _index(picture, namespace, attributes)


def check_commit(picture: Picture, head: Head, commit: Commit) -> None:
    """Raises ``AttributeRefused`` for attributes that the run, or one that it starts, cannot have."""
    if commit.attributes:
        _check_count(len(commit.attributes))
        _index(picture, head.namespace, _set(commit.attributes))
    for new in commit.start:
        check_new_run(picture, new)


def give(picture: Picture, head: Head, attributes: Mapping[str, Any]) -> None:
    """A new run has these attributes. They were checked before."""
    assert head.created is not None
    head.attributes = json_text(attributes)
    picture.index_attributes(head, _index(picture, head.namespace, attributes))


def change(picture: Picture, head: Head, changes: Mapping[str, Any]) -> None:
    """Merge into the attributes of a run what was checked before; None removes a name."""
    text = head.attributes
    if text is None and head.created is None:
        text = picture.tables.run_attributes(head.run)
    merged = {**(from_json(text) if text else {}), **changes}
    head.attributes = json_text(_set(merged))
    values: dict[str, tuple[Value, ...]] = dict.fromkeys(changes, ())
    picture.index_attributes(head, values | _index(picture, head.namespace, _set(changes)))


def _set(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if value is not None}


def _check_count(count: int) -> None:
    if count > ATTRIBUTES_OF_RUN_MAX:
        raise AttributeRefused(f"a run has at most {ATTRIBUTES_OF_RUN_MAX} attributes, not {count}")


def _index(picture: Picture, namespace: str, attributes: Mapping[str, Any]) -> dict[str, tuple[Value, ...]]:
    """What each is searched by. Those that nobody has had before are registered."""
    known = picture.tables.attribute_types(namespace, attributes)
    found = index(attributes, known, namespace)
    if found.new:
        known = picture.tables.register_attributes(namespace, found.new)
        found = index(attributes, known, namespace)  # somebody else may have been quicker, with other types
    return found.values


def register(picture: Picture, attributes: Sequence[Attribute]) -> None:
    """Give attributes their types before a run has a value. Raises ``AttributeRefused`` where one has another."""
    wanted: dict[str, dict[str, FieldType]] = {}
    for one in attributes:
        wanted.setdefault(one.namespace, {})[one.name] = one.type
    for namespace, types in wanted.items():
        known = picture.tables.attribute_types(namespace, types)
        new = new_types(types, known, namespace)
        if new:
            new_types(types, picture.tables.register_attributes(namespace, new), namespace)
