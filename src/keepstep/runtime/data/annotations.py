"""Annotations: what the parameters of a function are annotated with, forward references resolved where possible.

``from __future__ import annotations`` and classes named before they are defined leave text instead of types. The text
is evaluated where the function sees names: its module, the closure, its type parameters, and what the caller adds.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from keepstep.journal import InvalidInput


class Unresolved:
    """Stands for an annotation whose names are not defined (yet). Reading a value by it raises ``InvalidInput``."""

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        self.reason = reason

    def refuse(self) -> typing.NoReturn:
        """Say what is missing and what to do."""
        raise InvalidInput(
            f"the annotation {self.text!r} cannot be resolved ({self.reason}); define or import the name at module "
            "level, outside of `if TYPE_CHECKING:`, before the first use"
        )


def resolve_annotations(fn: Callable[..., Any], names: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], bool]:
    """The annotations of ``fn`` by parameter name, ``return`` among them, and whether all of them were resolved."""
    target = inspect.unwrap(fn)
    if not inspect.isroutine(target) and not isinstance(target, type):
        target = type(target).__call__
    visible = _visible_names(target, names)
    resolved: dict[str, Any] = {}
    for name, annotation in _raw_annotations(target).items():
        resolved[name] = _resolve(annotation, visible)
    if names:
        seen: set[type] = set()
        for annotation in resolved.values():
            _bind_fields(annotation, names, seen)
    return resolved, not any(isinstance(a, Unresolved) for a in resolved.values())


def _raw_annotations(target: Any) -> dict[str, Any]:
    if isinstance(target, type):
        target = target.__init__  # type: ignore[misc]
    target = getattr(target, "__func__", target)
    if sys.version_info >= (3, 14):
        import annotationlib  # only there since 3.14

        return dict(annotationlib.get_annotations(target, format=annotationlib.Format.FORWARDREF))
    return dict(getattr(target, "__annotations__", {}))


def _visible_names(target: Any, names: Mapping[str, Any] | None) -> dict[str, Any]:
    function = getattr(target, "__func__", target)
    visible = dict(getattr(function, "__globals__", {}))
    visible.update(names or {})
    try:
        visible.update(inspect.getclosurevars(function).nonlocals)
    except (TypeError, ValueError):
        pass
    visible.update({parameter.__name__: parameter for parameter in getattr(function, "__type_params__", ())})
    return visible


def _resolve(annotation: Any, visible: dict[str, Any]) -> Any:
    holder = type("holder", (), {"__annotations__": {"it": annotation}})
    try:
        return typing.get_type_hints(holder, globalns=visible, localns=visible, include_extras=True)["it"]
    except Exception as error:
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__forward_arg__", str(annotation))
        return Unresolved(text.strip("'\""), f"{type(error).__name__}: {error}")


def _bind_fields(annotation: Any, names: Mapping[str, Any], seen: set[type]) -> None:
    """Give classes defined inside a function the types that their fields name as text and their module cannot see.

    Whoever reads the class later, msgspec above all, evaluates the text in the class's module and would not find them.
    """
    for argument in typing.get_args(annotation):
        _bind_fields(argument, names, seen)
    if not isinstance(annotation, type) or "<locals>" not in annotation.__qualname__ or annotation in seen:
        return
    seen.add(annotation)
    fields = vars(annotation).get("__annotations__", {})
    module = vars(sys.modules.get(annotation.__module__, typing))
    for name, field in list(fields.items()):
        bound = _resolve(field, {**names, **module})
        if isinstance(field, str) and isinstance(_resolve(field, dict(module)), Unresolved):
            fields[name] = field if isinstance(bound, Unresolved) else bound
        _bind_fields(bound, names, seen)


def refuse_hidden_fields(annotation: Any) -> None:
    """Raise ``TypeError`` for an attrs class with a private attribute in the type: msgspec would silently drop it."""
    if "attr" not in sys.modules:
        return
    seen: set[int] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(annotation)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (tuple, list)):
            waiting.extend(node)
        elif isinstance(node, (msgspec.inspect.Type, msgspec.inspect.Field)) and id(node) not in seen:
            seen.add(id(node))
            _refuse_private(getattr(node, "cls", None))
            waiting.extend(getattr(node, name) for name in node.__struct_fields__)


def _refuse_private(kind: Any) -> None:
    for attribute in getattr(kind, "__attrs_attrs__", ()):
        if attribute.name.startswith("_"):
            raise TypeError(
                f"{kind.__qualname__}.{attribute.name} is private, and would be lost; give it a public name"
            )
