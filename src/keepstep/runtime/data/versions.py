"""Versions: classes whose shape has changed, and functions that bring what was written before into the new shape.

``@upcast(Order, 1)`` decorates a function that makes of an ``Order`` of version 1, as plain JSON data, one of
version 2. A class has the version behind its last upcaster; one without any has version 1, and so has all that was
written before it had its first. What holds a class of a later version travels in an envelope
(``keepstep.journal.payload``) that says which: the class's name and version, or ``Line=2,Order=3`` where there are
several. Classes are known by their qualified names without the module, so that a class may move.

Reading goes from the outside in: an upcaster of ``Order`` sees its lines as they were written, and they are brought up
after it. So what an upcaster puts in the place of a part has the shape that the part had when it was written.

Arguments of steps are compared by a digest. Where one was made of an older version, it cannot be compared with what the
code passes now: name and key still are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar, get_origin

import msgspec

from keepstep.journal import InvalidInput, Payload, seal, unseal

from .converters import converter_of
from .fault import parts
from .shape import Shape, plain_type, shape_of

Upcaster = Callable[[Any], Any]
F = TypeVar("F", bound=Upcaster)

Versions = dict[str, int]
"""By class name."""

VERSIONED: dict[str, tuple[type, list[Upcaster]]] = {}
"""Of this process: classes with upcasters, and these from version 1 on."""

_ENVELOPE = b"\x01"
_SEARCH_DEPTH_MAX = 200
TYPES_SEEN_MAX = 10_000
"""Of one type; a generic class that contains itself made of itself has no end."""


def upcast(kind: type, from_version: int) -> Callable[[F], F]:
    """Decorate what makes version ``from_version + 1`` of a class's data of one version less.

    It gets and returns plain JSON data: a dict of fields by their names in JSON, or a list for what is written so. It
    must be pure. Stand it next to the class, in the order of versions. Raises ``InvalidInput``.
    """
    name = _name_of(kind)
    if not isinstance(kind, type):
        raise InvalidInput(f"upcast takes a class and a version, not {kind!r:.100}")

    def register(function: F) -> F:
        known, upcasters = VERSIONED.get(name, (kind, []))
        if (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
            raise InvalidInput(
                f"two classes with versions are named {name}: {known.__module__} and {kind.__module__}; rename one"
            )
        if known is not kind and from_version == 1:  # the module was imported anew
            upcasters = []
        if from_version != len(upcasters) + 1:
            raise InvalidInput(
                f"the next upcaster of {name} is from version {len(upcasters) + 1}, not {from_version!r}; "
                "versions are counted from 1, without gaps"
            )
        VERSIONED[name] = kind, [*upcasters, function]
        return function

    return register


def _name_of(kind: Any) -> str:
    return str(getattr(get_origin(kind) or kind, "__qualname__", kind))


def _current(name: str) -> int:
    return len(VERSIONED[name][1]) + 1 if name in VERSIONED else 1


# writing


def stamp(data: bytes, value: Any) -> bytes:
    """Encoded data of a value, in an envelope that says which versions of classes are in it; as they are if none is."""
    found = dict.fromkeys(_classes_in(value, 0)) if VERSIONED else None
    if not found:
        return data
    names = sorted(found)
    if len(names) == 1:
        return seal(Payload(type=names[0], type_version=_current(names[0]), content=data))
    return seal(Payload(type=",".join(f"{name}={_current(name)}" for name in names), content=data))


_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})


def _classes_in(value: Any, depth: int) -> Iterator[str]:
    kind = type(value)
    if kind in _LEAVES or depth > _SEARCH_DEPTH_MAX:
        return
    name = kind.__qualname__
    if name in VERSIONED and _is_same(VERSIONED[name][0], kind):
        yield name
    taught = converter_of(kind)
    if taught is not None:
        yield from _classes_in(taught.written(value), depth + 1)
        return
    for part in value if isinstance(value, deque) else (part for _, part in parts(value)):
        yield from _classes_in(part, depth + 1)


def _is_same(known: type, kind: type) -> bool:
    return known is kind or (known.__module__, known.__qualname__) == (kind.__module__, kind.__qualname__)


# reading


def opened(data: bytes) -> tuple[bytes, Versions]:
    """The content of a payload, and the versions of classes that it says it holds."""
    if data[:1] != _ENVELOPE:
        return data, {}
    payload = unseal(data)
    return payload.content, versions_of(payload)


def versions_of(payload: Payload) -> Versions:
    """Raises ``InvalidInput`` for what says nothing that can be understood."""
    if not payload.type:
        return {}
    if payload.type_version:
        return {payload.type: payload.type_version}
    try:
        return {name: int(version) for name, _, version in (part.partition("=") for part in payload.type.split(","))}
    except ValueError:
        raise InvalidInput(f"the payload's types {payload.type!r:.100} cannot be understood") from None


def with_versions_of(data: bytes, part: bytes) -> bytes:
    """A part of a payload's content, in an envelope that says what that of the whole said."""
    payload = unseal(data)
    return seal(msgspec.structs.replace(payload, content=part))


def upcasting(annotation: Any, decode: Callable[[Any], Any]) -> Callable[[Any], Any] | None:
    """A decoder that brings what is older up to the newest versions before; None for a type that has no versions."""
    reached = {name: _current(name) for name in _reached(annotation)} if VERSIONED else {}
    if not reached:
        return None

    def decode_current(data: Any) -> Any:
        content, versions = opened(bytes(data))
        if all(versions.get(name, 1) == current for name, current in reached.items()):
            return decode(content)
        _refuse_newer(versions)
        raw = msgspec.json.decode(content or b"null")
        return decode(msgspec.json.encode(_brought_up(annotation, raw, versions, {})))

    return decode_current


def has_versions(annotation: Any) -> bool:
    """Whether a class with upcasters is somewhere in the type."""
    return bool(VERSIONED) and bool(_reached(annotation))


def _refuse_newer(versions: Versions) -> None:
    for name, version in versions.items():
        if name in VERSIONED and version > _current(name):
            raise InvalidInput(
                f"this was written with version {version} of {name}, and this code has {_current(name)}; "
                "deploy the newer code"
            )


def _reached(annotation: Any) -> AbstractSet[str]:
    found: set[str] = set()
    seen: list[tuple[Any, Mapping[Any, Any]]] = []
    waiting: list[tuple[Any, Mapping[Any, Any]]] = [(annotation, {})]
    while waiting:
        each, bound = waiting.pop()
        each = plain_type(each, bound)
        name = _name_of(each)
        if name in VERSIONED and _is_class(each, VERSIONED[name][0]):
            found.add(name)
        if len(seen) > TYPES_SEEN_MAX or any(each == other and bound == known for other, known in seen):
            continue
        seen.append((each, bound))
        made = shape_of(each, bound)
        waiting += [(part, made.bound) for part in made.all()]
    return found


def _is_class(annotation: Any, kind: type) -> bool:
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and _is_same(kind, origin)


def _brought_up(annotation: Any, raw: Any, versions: Versions, bound: Mapping[Any, Any]) -> Any:
    annotation = plain_type(annotation, bound)
    name = _name_of(annotation)
    if name in VERSIONED and _is_class(annotation, VERSIONED[name][0]) and raw is not None:
        raw = _upcast(name, raw, versions.get(name, 1))
    made = shape_of(annotation, bound)
    if made.choices:
        return _of_a_choice(made, raw, versions)
    if isinstance(raw, dict) and made.values is not None:
        return {key: _brought_up(made.values, part, versions, made.bound) for key, part in raw.items()}
    if isinstance(raw, dict):
        for wire_name, part_type in made.fields.items():
            if wire_name in raw:
                raw[wire_name] = _brought_up(part_type, raw[wire_name], versions, made.bound)
    elif isinstance(raw, list) and made.items is not None:
        return [_brought_up(made.items, part, versions, made.bound) for part in raw]
    elif isinstance(raw, list) and made.positions:
        known = [_brought_up(*each, versions, made.bound) for each in zip(made.positions, raw, strict=False)]
        return known + raw[len(known) :]
    return raw


def _upcast(name: str, raw: Any, version: int) -> Any:
    upcasters = VERSIONED[name][1]
    for number in range(version, len(upcasters) + 1):
        try:
            raw = upcasters[number - 1](raw)
        except Exception as error:
            raise InvalidInput(f"the upcaster of {name} from version {number} failed: {error!r:.200}") from error
    return raw


def _of_a_choice(made: Shape, raw: Any, versions: Versions) -> Any:
    """Of a union: the one that the data say they are, or the first that has all of their fields."""
    fitting = [each for each in made.choices if _fits(each, raw, made.bound)]
    return _brought_up(fitting[0], raw, versions, made.bound) if fitting else raw


def _fits(annotation: Any, raw: Any, bound: Mapping[Any, Any]) -> bool:
    made = shape_of(annotation, bound)
    if made.choices:
        return any(_fits(each, raw, made.bound) for each in made.choices)
    if isinstance(raw, list):
        return made.items is not None or bool(made.positions)
    if not isinstance(raw, dict):
        return False
    if made.tag is not None:
        return bool(raw.get(made.tag[0]) == made.tag[1])
    return made.values is not None or bool(made.fields)


# arguments that are compared


def digest_suffix(payload: Payload) -> bytes:
    """What is put behind a digest of arguments, so that it is known of which versions it was made."""
    versions = versions_of(payload)
    return ",".join(f"{name}={versions[name]}" for name in sorted(versions)).encode()


def are_comparable(recorded: bytes, now: bytes, digest_bytes: int) -> bool:
    """Whether two digests were made of the same versions; one of an older version says nothing of a newer one."""
    return recorded[digest_bytes:] == now[digest_bytes:] or not _is_older(recorded[digest_bytes:], now[digest_bytes:])


def _is_older(recorded: bytes, now: bytes) -> bool:
    before, after = _suffix_versions(recorded), _suffix_versions(now)
    return any(before.get(name, 1) < version for name, version in after.items())


def _suffix_versions(suffix: bytes) -> Versions:
    return versions_of(Payload(type=suffix.decode())) if suffix else {}
