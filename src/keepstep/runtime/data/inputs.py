"""Inputs: the arguments of a workflow as a person types them, one JSON text each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from keepstep.journal import InvalidInput

from .schema import Misfit, check
from .signature import Signature

WINDOW_CHARS = 60
_offset_in_bytes = re.compile(r" \(byte (\d+)\)")


def parse_json_inputs(expected: Signature | Mapping[str, Any], texts: Sequence[str]) -> list[Any]:
    """Read one JSON text for each positional argument, in order.

    ``expected`` is the function's signature (typed values are returned) or its published schema (see
    ``Definition.schema``; plain JSON data is returned, checked against it). Raises ``InvalidInput`` for text that is
    not JSON, with a caret below the place, and for a value or a number of values that does not fit.
    """
    if isinstance(expected, Signature):
        return _by_signature(expected, texts)
    return _by_schema(expected, texts)


def parse_json(text: str, what: str = "the input") -> Any:
    """One JSON text as plain data. Raises ``InvalidInput`` with the position and a caret."""
    data = _utf8(text, what)
    try:
        return msgspec.json.decode(data)
    except msgspec.MsgspecError as error:
        raise InvalidInput(_pointed(text, data, str(error), what)) from None
    except RecursionError:
        raise InvalidInput(f"{what} is nested too deeply") from None


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} is not valid UTF-8 text") from None


def _pointed(text: str, data: bytes, complaint: str, what: str) -> str:
    """The complaint with the line that it is about and a caret below the place."""
    offset = _offset_in_bytes.search(complaint)
    place = len(data[: int(offset[1])].decode(errors="ignore")) if offset else len(text)
    reason = _offset_in_bytes.sub("", complaint).removeprefix("JSON is malformed: ")
    line_start = text.rfind("\n", 0, place) + 1
    line_end = text.find("\n", place)
    start = max(line_start, place - WINDOW_CHARS)
    end = min(len(text) if line_end < 0 else line_end, place + WINDOW_CHARS)
    shown = text[start:end].replace("\t", " ").rstrip("\r")
    lines = [f"{what} is not JSON: {reason} at position {place + 1}", f"  {shown}", "  " + " " * (place - start) + "^"]
    if re.fullmatch(r"[^\W\d][\w .@:/-]*", text.strip()):
        lines.append(f"  text needs double quotes around it: '\"{text.strip()}\"'")
    return "\n".join(lines)


def _by_signature(signature: Signature, texts: Sequence[str]) -> list[Any]:
    signature.check_args(texts, {})
    values = []
    for n, text in enumerate(texts):
        slot = signature.positional_slot(n)
        assert slot is not None  # checked above
        what = _called(n, slot.name)
        parse_json(text, what)
        try:
            values.append(slot.decode(text.encode()))
        except InvalidInput as error:
            raise InvalidInput(f"{what} does not fit: {error}") from error
    return values


def _by_schema(published: Mapping[str, Any], texts: Sequence[str]) -> list[Any]:
    arguments = published.get("arguments", [])
    positional = [argument for argument in arguments if "kind" not in argument]
    variadic = next((argument for argument in arguments if argument.get("kind") == "variadic"), None)
    _check_count(arguments, positional, variadic is not None, len(texts))
    values = []
    for n, text in enumerate(texts):
        argument = positional[n] if n < len(positional) else variadic
        assert argument is not None  # counted above
        what = _called(n, argument["name"])
        value = parse_json(text, what)
        try:
            check(value, argument["schema"])
        except Misfit as misfit:
            raise InvalidInput(f"{what} does not fit: {misfit}") from None
        values.append(value)
    return values


def _check_count(arguments: Sequence[Any], positional: Sequence[Any], any_more: bool, count: int) -> None:
    keyword = [a["name"] for a in arguments if a.get("kind") == "keyword" and a["required"]]
    if keyword:
        raise InvalidInput(f"{', '.join(keyword)} can only be given by keyword, which takes a start from Python")
    required = [argument["name"] for argument in positional if argument["required"]]
    names = ", ".join(a["name"] + ("" if a["required"] else " (optional)") for a in positional) or "none"
    if count < len(required):
        missing = ", ".join(required[count:])
        raise InvalidInput(f"{_so_many(count)}, but {missing} is missing; arguments: {names}")
    if count > len(positional) and not any_more:
        raise InvalidInput(f"{_so_many(count)}, but at most {len(positional)} fit; arguments: {names}")


def _so_many(count: int) -> str:
    return f"{count} input{'' if count == 1 else 's'} given"


def _called(n: int, name: str) -> str:
    return f"input {n + 1} (argument {name!r})"
