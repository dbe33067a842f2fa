"""Namespace: which names it may have, and the rooms beside it for its schedules, its retention, and its views."""

from __future__ import annotations

from keepstep.journal import InvalidInput
from keepstep.retention.guest import room_of as retention_room
from keepstep.runtime.data import checked_name
from keepstep.schedules.guest import room_of as schedules_room

NAMESPACE_CHARS_MAX = 200
"""Together with it the name of a queue must find room in a name's limit."""

KEYS_ROOM = ":keys"
"""In which the keys of the whole database are; no namespace can reach it."""

SESSIONS_ROOM = ":sessions"
"""In which those are who have logged in to a server of it."""

OWNERLESS_ROOMS = (KEYS_ROOM, SESSIONS_ROOM)
"""Which belong to no namespace."""


def views_room(namespace: str) -> str:
    """In which the views of a namespace are kept (``views``)."""
    return f"{namespace}:views"


def rooms_of(namespace: str) -> tuple[str, ...]:
    """The namespaces beside one, of runs of other languages, which belong to it."""
    return schedules_room(namespace), retention_room(namespace), views_room(namespace)


def checked_namespace(name: str) -> str:
    """The name of a namespace, if it can be one. Raises ``InvalidInput``."""
    checked_name(name, "the name of a namespace", NAMESPACE_CHARS_MAX)
    rooms = (*rooms_of(""), *OWNERLESS_ROOMS)
    if not name.isprintable() or name.endswith(rooms):
        endings = ", ".join(map(repr, rooms))
        raise InvalidInput(f"a namespace has printable signs and ends with none of {endings}: not {name!r:.100}")
    return name
