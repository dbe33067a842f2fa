"""Schema: what is published of a function's arguments and result, and whether a JSON value fits it.

The published form is JSON Schema (2020-12) as msgspec and pydantic write it. A type that they cannot describe is
published as ``{}``, which everything fits. The check covers the words those two use for structure: ``$ref``, ``type``,
``properties``, ``required``, ``additionalProperties``, ``items``, ``prefixItems``, ``enum``, ``const``, ``anyOf``,
``oneOf``, ``allOf``, ``discriminator``, ``pattern``, limits of numbers and lengths. ``format`` and words it does not
know are not judged: the worker that decodes the value has the last word.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from .converters import converter_of
from .models import is_model_class

if TYPE_CHECKING:
    from .signature import Slot

DEPTH_MAX = 100
DOC_CHARS_MAX = 4_000
_KIND_NAMES = {
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_POSITIONAL: "variadic",
    inspect.Parameter.VAR_KEYWORD: "variadic_keyword",
}


def publish(slots: Iterable[Slot], result: Any, doc: str) -> dict[str, Any]:
    """``{"arguments": [{"name", "required", "schema"}…], "result": schema, "doc": text}``.

    An argument that is not given by position has a ``kind`` too: ``keyword``, ``variadic`` or ``variadic_keyword``.
    """
    arguments = []
    for slot in slots:
        argument = {"name": slot.name, "required": slot.required, "schema": schema_of(slot.annotation)}
        if slot.kind in _KIND_NAMES:
            argument["kind"] = _KIND_NAMES[slot.kind]
        arguments.append(argument)
    return {"arguments": arguments, "result": schema_of(result), "doc": doc[:DOC_CHARS_MAX]}


def schema_of(annotation: Any) -> dict[str, Any]:
    """The JSON schema of a type; ``{}`` where it cannot be described."""
    if annotation is inspect.Parameter.empty:
        return {}
    definitions: dict[str, Any] = {}

    def describe(kind: Any) -> dict[str, Any]:
        taught = converter_of(kind)
        if taught is not None:
            return described(taught.wire)
        return _model_schema(kind, definitions) if is_model_class(kind) else {}

    def described(kind: Any) -> dict[str, Any]:
        schema = msgspec.json.schema(kind, schema_hook=describe)
        definitions.update(schema.pop("$defs", {}))
        return schema

    try:
        schema = described(annotation)
        if definitions:
            schema["$defs"] = definitions
        json.dumps(schema, allow_nan=False)
    except Exception:  # types, defaults or constraints that msgspec or pydantic cannot write down
        return {}
    return schema


def _model_schema(model: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Pydantic's schema of a model, its definitions moved to the root under names that nothing else has."""
    prefix = f"{model.__module__}.{model.__qualname__}:"
    schema: dict[str, Any] = model.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
    for name, definition in schema.pop("$defs", {}).items():
        definitions[prefix + name] = definition
    return schema


class Misfit(Exception):
    """A JSON value does not fit a schema: where, what was expected, and what was found."""

    def __init__(self, path: str, expected: str, found: Any) -> None:
        self.path, self.expected = path, expected
        self.found = shown(found)
        super().__init__(f"{path + ': ' if path else ''}expected {expected}, found {self.found}")


def shown(value: Any) -> str:
    """A JSON value as short text for an error."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "…"


def check(value: Any, schema: Any, root: dict[str, Any] | None = None, path: str = "", depth: int = 0) -> None:
    """Raise ``Misfit`` if a plain JSON value does not fit the schema."""
    if schema is True or depth > DEPTH_MAX or not isinstance(schema, dict):
        if schema is False:
            raise Misfit(path, "nothing", value)
        return
    root = schema if root is None else root
    if "$ref" in schema:
        check(value, _referred(schema["$ref"], root), root, path, depth + 1)
    for rule in (_check_type, _check_choice, _check_number, _check_length):
        rule(value, schema, path)

    def inner(part: Any, part_schema: Any, step: str) -> None:
        check(part, part_schema, root, path + step, depth + 1)

    _check_alternatives(value, schema, inner, path)
    if isinstance(value, dict):
        _check_properties(value, schema, inner, path)
    elif isinstance(value, list):
        _check_items(value, schema, inner)


_Inner = Callable[[Any, Any, str], None]


def _referred(reference: str, root: dict[str, Any]) -> Any:
    """The schema that a ``#/…`` reference names; anything (True) if it names nothing here."""
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or step not in found:
            return True
        found = found[step]
    return found


_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _check_type(value: Any, schema: dict[str, Any], path: str) -> None:
    names = schema.get("type", ())
    names = [names] if isinstance(names, str) else list(names)
    if names and not any(_TYPES.get(name, lambda _: True)(value) for name in names):
        words = " or ".join(names)
        raise Misfit(path, _titled(words, schema) if "object" in names else words, value)


def _titled(words: str, schema: dict[str, Any]) -> str:
    return f"{schema['title']} ({words})" if "title" in schema else words


def _same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _check_choice(value: Any, schema: dict[str, Any], path: str) -> None:
    choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if choices is not None and not any(_same(value, choice) for choice in choices):
        raise Misfit(path, _titled("one of " + ", ".join(map(shown, choices)), schema), value)


_LIMITS: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("minimum", "at least", lambda value, limit: value >= limit),
    ("maximum", "at most", lambda value, limit: value <= limit),
    ("exclusiveMinimum", "more than", lambda value, limit: value > limit),
    ("exclusiveMaximum", "less than", lambda value, limit: value < limit),
)


def _check_number(value: Any, schema: dict[str, Any], path: str) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return
    for word, phrase, holds in _LIMITS:
        if word in schema and not holds(value, schema[word]):
            raise Misfit(path, f"{phrase} {schema[word]}", value)


def _check_length(value: Any, schema: dict[str, Any], path: str) -> None:
    for kind, noun, unit in ((str, "Length", "characters"), (list, "Items", "items"), (dict, "Properties", "members")):
        if isinstance(value, kind):
            if len(value) < schema.get("min" + noun, 0):
                raise Misfit(path, f"at least {schema['min' + noun]} {unit}", value)
            if len(value) > schema.get("max" + noun, len(value)):
                raise Misfit(path, f"at most {schema['max' + noun]} {unit}", value)
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        raise Misfit(path, f"text that matches {schema['pattern']}", value)


def _check_alternatives(value: Any, schema: dict[str, Any], inner: _Inner, path: str) -> None:
    for part in schema.get("allOf", ()):
        inner(value, part, "")
    chosen = _chosen(value, schema.get("discriminator", {}))
    if chosen is not None:
        inner(value, {"$ref": chosen}, "")
        return
    for word in ("anyOf", "oneOf"):
        misfits = []
        for alternative in schema.get(word, ()):
            try:
                inner(value, alternative, "")
                break
            except Misfit as misfit:
                misfits.append(misfit)
        else:
            if misfits:
                raise _closest(misfits, path, value)


def _chosen(value: Any, discriminator: dict[str, Any]) -> str | None:
    """The alternative that a tagged value names by itself."""
    tag = value.get(discriminator.get("propertyName")) if isinstance(value, dict) else None
    return discriminator.get("mapping", {}).get(str(tag)) if isinstance(tag, (str, int)) else None


def _closest(misfits: list[Misfit], path: str, value: Any) -> Misfit:
    """The alternative that went furthest is the one that was meant; else all of them are named."""
    deepest = max(misfits, key=lambda misfit: len(misfit.path))
    if len(deepest.path) > len(path):
        return deepest
    return Misfit(path, " or ".join(dict.fromkeys(misfit.expected for misfit in misfits)), value)


def _check_properties(value: dict[str, Any], schema: dict[str, Any], inner: _Inner, path: str) -> None:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise Misfit(path, _titled(f"an object with {name!r}", schema), value)
    others = schema.get("additionalProperties", True)
    for name, part in value.items():
        if name in properties:
            inner(part, properties[name], f".{name}")
        elif others is False:
            raise Misfit(path, "only the members " + ", ".join(map(repr, properties)), {name: part})
        else:
            inner(part, others, f"[{name!r}]")


def _check_items(value: list[Any], schema: dict[str, Any], inner: _Inner) -> None:
    first = schema.get("prefixItems", [])
    for n, part in enumerate(value):
        inner(part, first[n] if n < len(first) else schema.get("items", True), f"[{n}]")
