"""Received: which signals a workflow's own code receives, and of which types, for those who send them.

A handler of signals says so by being there; ``receive("picked", Pickup)`` says it when it is called, which may be days
after the run was started. So the source is read: calls of ``receive`` in the workflow's function or class whose name
is written out. Names that are computed, ``receive`` under another name, and calls in other functions are not found;
what is found is a help to those who write a signal, and refuses nothing.

Nothing of the user's is called: a type is looked up as the name, the attribute of a module or class, or the subscript
of a type that is written there.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, get_origin

from .data.schema import schema_of
from .waiting import receive

_UNKNOWN = inspect.Parameter.empty


def received_by(source: str, function: Any) -> dict[str, dict[str, Any]]:
    """By their names, the JSON schemas of the signals; ``{}`` is that of anything.

    :param source: of the workflow's function or class.
    :param function: the one that runs, in whose module the names are looked up.
    """
    if "receive" not in source:
        return {}
    try:
        tree = ast.parse(textwrap.dedent(source))
    except (SyntaxError, ValueError):
        return {}
    around = _names_around(function)
    found: dict[str, dict[str, Any]] = {}
    for name, annotation in _calls(tree, around):
        schema = schema_of(annotation)
        found[name] = schema if found.get(name, schema) == schema else {}
    return found


def _calls(tree: ast.AST, around: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _value_of(node.func, around) is not receive:
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        name = node.args[0] if node.args else given.get("name")
        type_ = node.args[1] if len(node.args) > 1 else given.get("type")
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield name.value, _UNKNOWN if type_ is None else _value_of(type_, around)


def _names_around(function: Any) -> dict[str, Any]:
    names = {**vars(builtins), **getattr(function, "__globals__", {})}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    for name, cell in cells:
        try:
            names[name] = cell.cell_contents
        except ValueError:  # it has no value yet
            names.pop(name, None)
    return names


def _value_of(node: ast.expr, around: Mapping[str, Any]) -> Any:
    """What an expression of names stands for; ``_UNKNOWN`` for any other."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name):
            return around.get(name, _UNKNOWN)
        case ast.Attribute(value=owner, attr=name):
            owned = _value_of(owner, around)
            return getattr(owned, name, _UNKNOWN) if isinstance(owned, (ModuleType, type)) else _UNKNOWN
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _combined(lambda one, other: one | other, _value_of(left, around), _value_of(right, around))
        case ast.Subscript(value=generic, slice=ast.Tuple(elts=parts)):
            values = tuple(_value_of(part, around) for part in parts)
            return _UNKNOWN if _UNKNOWN in values else _combined(_subscripted, _value_of(generic, around), values)
        case ast.Subscript(value=generic, slice=part):
            return _combined(_subscripted, _value_of(generic, around), _value_of(part, around))
        case _:
            return _UNKNOWN


def _subscripted(generic: Any, part: Any) -> Any:
    is_type = isinstance(generic, type) or get_origin(generic) is not None or type(generic).__module__ == "typing"
    return generic[part] if is_type else _UNKNOWN


def _combined(combine: Any, one: Any, other: Any) -> Any:
    if one is _UNKNOWN or other is _UNKNOWN:
        return _UNKNOWN
    try:
        return combine(one, other)
    except Exception:  # what stands there is no type
        return _UNKNOWN
