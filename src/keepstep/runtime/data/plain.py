"""Plain: what is kept of a run beside its history, where every process can read it: attributes and a status text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from keepstep.journal import InvalidInput
from keepstep.journal.attribute import check_name

from .codec import encode
from .size import within_limit


def plain_attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Attributes as every store keeps them: names, and JSON values.

    Raises ``InvalidInput`` for anything else, ``AttributeRefused`` for a name that every run has already, ``TooLarge``
    for more than one payload may have.
    """
    if not attributes:
        return {}
    if not isinstance(attributes, Mapping) or not all(isinstance(name, str) for name in attributes):
        raise InvalidInput(f"attributes are a dict from names to values, not {attributes!r:.100}")
    for name in attributes:
        check_name(name)
    encoded = within_limit(encode(dict(attributes), "the attributes"), "the attributes")
    plain: dict[str, Any] = msgspec.json.decode(encoded)
    return plain


def plain_text(text: str, what: str) -> str:
    """The text, if every store can keep it. Raises ``InvalidInput``, ``TooLarge``."""
    if not isinstance(text, str):
        raise InvalidInput(f"{what} must be text, not {text!r:.100}")
    within_limit(encode(text, what), what)
    return text
