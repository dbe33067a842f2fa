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
    return model_class.model_validate_json(data)


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
    validate: Callable[[bytes], Any] = pydantic.TypeAdapter(annotation).validate_json
    return validate
