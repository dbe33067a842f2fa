"""Pydantic's models among the values of users, without importing pydantic.

A class that pydantic made says so by attributes of its own, so nothing here needs the library unless the user's module
has loaded it already. Models travel as pydantic writes them, by alias: ``{"type": …}`` for a field aliased to ``type``.
Pydantic's dataclasses are dataclasses to msgspec, which encodes and decodes them; their validators run after that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, get_args

import msgspec

DETAILS_MAX = 5
"""So many of a model's complaints are shown."""


def is_model_class(candidate: object) -> bool:
    """True for a subclass of ``pydantic.BaseModel``."""
    return isinstance(candidate, type) and hasattr(candidate, "model_validate_json") and is_validated(candidate)


def is_validated(candidate: object) -> bool:
    """True for everything that pydantic built: a model or one of its dataclasses."""
    return isinstance(candidate, type) and "__pydantic_validator__" in candidate.__dict__


def holds_model(annotation: object) -> bool:
    """True if the annotation is or contains a class made by pydantic, not looking into other classes' fields."""
    return is_validated(annotation) or any(holds_model(argument) for argument in get_args(annotation))


def encode_model(model: Any) -> msgspec.Raw:
    """A model as JSON. ``round_trip`` leaves computed fields out, so that the model accepts its own text again."""
    text: str = model.model_dump_json(by_alias=True, round_trip=True)
    return msgspec.Raw(text.encode())


def decode_model(model_class: Any, data: bytes) -> Any:
    """A model from its JSON; pydantic's own error if it does not fit."""
    return model_class.model_validate_json(bytes(data))


def validating(annotation: Any, decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """A pydantic dataclass's decoder, with the class's own validation after it."""
    validate = annotation.__pydantic_validator__.validate_python

    def decode_and_validate(data: bytes) -> Any:
        value = decode(data)
        return validate({name: getattr(value, name) for name in annotation.__pydantic_fields__})

    return decode_and_validate


def adapter_decoder(annotation: Any) -> Callable[[bytes], Any] | None:
    """A decoder by pydantic for what msgspec cannot express, such as a union of models; None without pydantic."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not holds_model(annotation):
        return None
    validate = pydantic.TypeAdapter(annotation).validate_json
    return lambda data: validate(bytes(data))


def validation_fault(error: Exception) -> str | None:
    """Pydantic's ``ValidationError`` in one line with our paths; None for other errors."""
    if type(error).__name__ != "ValidationError" or not hasattr(error, "errors"):
        return None
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{detail['msg']}{_at(detail['loc'])}" for detail in details[:DETAILS_MAX])


def _at(location: tuple[int | str, ...]) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return f" at {path}" if path else ""
