"""Typed JSON: how the values of users become bytes, and bytes become values of the annotated type again.

``encode`` writes any supported value as compact UTF-8 JSON; ``decoder`` gives the reader for an annotation. For an
annotated type, what comes back equals what went in; never pickle, and no class is named in the bytes.

* bytes are base64 text, Decimals exact text, datetimes RFC 3339, timedeltas ISO 8601, UUIDs canonical, Enums their
  value, tuples and sets arrays. Sets are written sorted, so that equal values have equal bytes in every process.
* Without an annotation (or with ``Any``) plain JSON data comes back: dicts with text keys, lists, text, numbers.
* ints have any size up to Python's own limit for text (4,300 digits).
* NaN and the infinities are refused: JSON has no word for them. As a Decimal they travel.
* Keys of dicts may be text, numbers, Enums, dates, UUIDs, Decimals and bytes; True, None and tuples are refused.
* A class that was taught (``converters``) is written as its converter says.
* Subclasses of builtins come back as the subclass where they are annotated. Paths are text.
* UTC offsets are kept to the minute, as RFC 3339 says.

The text is final: it may be extended, but what was written once stays readable.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import PurePath
from typing import Any, get_args, get_origin

import msgspec

from keepstep.journal import InvalidInput

from . import fault
from .annotations import Unresolved, refuse_hidden_fields
from .converters import FORGETS, converter_of
from .models import (
    adapter_decoder,
    decode_model,
    encode_model,
    is_model_class,
    is_validated,
    validating,
    validation_fault,
)
from .ordering import holds_set, with_sorted_sets
from .unions import union_decoder
from .versions import VERSIONED, has_versions, opened, stamp, upcasting

DECODERS_KEPT_MAX = 4096


def _enc_hook(value: Any) -> Any:
    taught = converter_of(type(value))
    if taught is not None:
        return msgspec.Raw(encode(taught.written(value), f"what the converter of {type_name(type(value))} made"))
    if is_model_class(type(value)):
        return encode_model(value)
    for builtin in (str, int, float):
        if isinstance(value, builtin):
            return builtin(value)
    if isinstance(value, deque):
        return list(value)
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"values of type {type_name(type(value))} cannot be written as JSON")


def _probe_hook(value: Any) -> Any:
    if is_model_class(type(value)):
        return {**value.__dict__, **(value.__pydantic_extra__ or {})}
    if converter_of(type(value)) is not None:
        return None  # what was made of it has been looked at
    return _enc_hook(value)


def _dec_hook(expected: Any, found: Any) -> Any:
    taught = converter_of(expected)
    if taught is not None:
        return taught.read(_as_wire(taught.wire, found), expected)
    if is_model_class(expected):
        return decode_model(expected, _encode(found))
    origin = get_origin(expected) or expected
    if isinstance(origin, type):
        if origin is object:
            return found
        if origin in _READ_AS_LIST:
            return _as_builtin(list, get_args(expected), found)
        if issubclass(origin, PurePath):
            return origin(msgspec.convert(found, str))
        if issubclass(origin, (defaultdict, Counter)):
            return _as_counting(origin, get_args(expected), found)
        for builtin in (str, int, float, list, dict, tuple, set, frozenset, deque):
            if issubclass(origin, builtin):
                return origin(_as_builtin(builtin, get_args(expected), found))
    raise TypeError(f"{type_name(expected)} is not a type that can be read from JSON; {fault.ADVICE}")


def _as_wire(wire: Any, found: Any) -> Any:
    """Plain JSON data as the type that a converter takes."""
    if is_model_class(wire):
        return decode_model(wire, _encode(found))
    return msgspec.convert(found, wire, dec_hook=_dec_hook, str_keys=True)


_READ_AS_LIST = (Iterable, Iterator)


def _as_counting(origin: Any, arguments: tuple[Any, ...], found: Any) -> Any:
    """A dict that makes what is missing, by the class of its values."""
    if issubclass(origin, Counter):
        return origin(_as_builtin(dict, (*arguments[:1], int) if arguments else (), found))
    make = arguments[1] if len(arguments) == 2 else None
    make = get_origin(make) or make
    return origin(make if isinstance(make, type) else None, _as_builtin(dict, arguments, found))


def _as_builtin(builtin: Any, arguments: tuple[Any, ...], found: Any) -> Any:
    plain = list if builtin is deque else builtin
    return msgspec.convert(found, plain[arguments] if arguments else plain, dec_hook=_dec_hook, str_keys=True)


_encode = msgspec.json.Encoder(enc_hook=_enc_hook, decimal_format="string", uuid_format="canonical").encode
encode_unsettled = _encode
"""The bare encoder: raises what msgspec raises; NaN and the order of sets are left to ``settle``."""

_encode_sorted = msgspec.json.Encoder(enc_hook=_enc_hook, order="deterministic").encode
_probe = msgspec.msgpack.Encoder(enc_hook=_probe_hook).encode
_not_finite_in_msgpack = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]", re.DOTALL).search


def encode_value(value: Any, where: str = "the value") -> bytes:
    """``encode`` for what travels as a payload of its own: it says which versions of classes it holds."""
    data = encode(value, where)
    return stamp(data, value) if VERSIONED else data


def encode(value: Any, where: str = "the value") -> bytes:
    """Encode a value as JSON; ``where`` names it in errors. Raises ``InvalidInput`` for what JSON cannot carry."""
    try:
        data = _encode(value)
    except Exception as error:
        raise _unencodable(value, where, error) from error
    if b"[" in data or b"null" in data:
        return _settled(value, data, where)
    return data


def settle(value: Any, data: bytes, where: str = "the value") -> bytes:
    """What ``encode`` returns for ``value``, of which ``data`` is the fast encoding."""
    return _settled(value, data, where) if b"[" in data or b"null" in data else data


def _settled(value: Any, data: bytes, where: str) -> bytes:
    if b"null" in data and value is not None:
        _refuse_not_finite(value, where)
    if b"[" not in data:
        return data
    try:
        if _encode_sorted(value) == data:
            return data
    except TypeError:  # a set or dict whose parts cannot be compared
        pass
    return _encode(with_sorted_sets(value, _encode, _encode_sorted)) if holds_set(value) else data


def _refuse_not_finite(value: Any, where: str) -> None:
    """msgspec writes NaN as null. MessagePack keeps it, so a glance at that form settles nearly all cases at once."""
    try:
        suspicious = _not_finite_in_msgpack(_probe(value)) is not None
    except Exception:  # an int beyond 64 bits, or whatever else only JSON can say
        suspicious = True
    found = fault.find(value, fault.not_finite) if suspicious else None
    if found is not None:
        raise InvalidInput(f"{where}{_spaced(found[0])} {found[1]}")


def _unencodable(value: Any, where: str, error: Exception) -> InvalidInput:
    path, reason = fault.find(value, _fault_of) or ("", f"cannot be encoded: {error}")
    return InvalidInput(f"{where}{_spaced(path)} {reason}")


def _fault_of(value: Any) -> str:
    """Why this part cannot be encoded, given that all of its own parts can; "" if it can."""
    try:
        _encode(value)
    except UnicodeEncodeError:
        return f"is text with a lone surrogate ({value!r:.60}), which UTF-8 cannot hold; clean it first"
    except Exception as error:
        if isinstance(value, dict):
            return f"has a key that JSON cannot hold ({error}); use text, numbers, Enums, dates or UUIDs as keys"
        return f"of type {type_name(type(value))} cannot be encoded ({error}); {fault.ADVICE}"
    return ""


def _spaced(path: str) -> str:
    return f" {path}" if path else ""


def decoder(annotation: Any = Any) -> Callable[[bytes], Any]:
    """The function that reads a value of the annotated type from JSON.

    It raises ``InvalidInput`` that says what was expected, what was found, and where. An annotation that cannot be
    read is refused here and now, with ``InvalidInput``, not when the first value comes.
    """
    try:
        return _cached_decoder(annotation)
    except TypeError:  # an annotation that cannot be hashed
        return _build_decoder(annotation)


def reader(wanted: Any = None) -> Callable[[bytes], Any]:
    """``decoder`` for a type that callers may leave out: None means plain JSON data, whatever it is."""
    return decoder(Any if wanted is None else wanted)


def decoder_of_all(annotations: Sequence[Any]) -> Callable[[bytes], tuple[Any, ...]] | None:
    """Reads a JSON array with exactly one value of each of these types; None if one of them is not a plain type.

    What it raises says less than what a ``decoder`` of the single value says.
    """
    plain = [Any if each is inspect.Parameter.empty else each for each in annotations]
    if not plain or any(isinstance(each, Unresolved) or is_model_class(each) or is_validated(each) for each in plain):
        return None
    if any(map(has_versions, plain)):
        return None
    try:
        for each in plain:
            refuse_hidden_fields(each)
        return msgspec.json.Decoder(tuple[tuple(plain)], dec_hook=_dec_hook).decode  # type: ignore[misc]
    except Exception:  # the decoder of the single value tells what is wrong, or knows another way
        return None


def _build_decoder(annotation: Any) -> Callable[[bytes], Any]:
    decode = _raw_decoder(Any if annotation is inspect.Parameter.empty else annotation)
    decode = upcasting(annotation, decode) or decode

    def decode_typed(data: bytes) -> Any:
        try:
            return decode(data or b"null")
        except InvalidInput:
            raise
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            if isinstance(data, bytes) and data[:1] == b"\x01":  # it tells versions, which mean nothing to this type
                return decode_typed(opened(data)[0])
            raise InvalidInput(f"expected {type_name(annotation)}: {decode_fault(error)}") from error

    return decode_typed


_cached_decoder = lru_cache(maxsize=DECODERS_KEPT_MAX)(_build_decoder)
FORGETS.append(_cached_decoder.cache_clear)


def _raw_decoder(annotation: Any) -> Callable[[bytes], Any]:
    if isinstance(annotation, Unresolved):
        annotation.refuse()
    if is_model_class(annotation):
        return lambda data: decode_model(annotation, data)
    try:
        decode = msgspec.json.Decoder(annotation, dec_hook=_dec_hook).decode
        refuse_hidden_fields(annotation)
    except Exception as error:
        adapted = adapter_decoder(annotation) or union_decoder(annotation, decoder, encode)
        if adapted is None:
            raise InvalidInput(f"the type {type_name(annotation)} cannot be read: {_build_fault(error)}") from error
        return adapted
    return validating(annotation, decode) if is_validated(annotation) else decode


def _build_fault(error: Exception) -> str:
    if isinstance(error, NameError):
        return (
            f"{error}; an annotation names something that is not visible in its module: define it at module level, "
            "outside of `if TYPE_CHECKING:`, before the first use"
        )
    if "str-like" in str(error):
        return (
            f"{error}; JSON has one kind of text for them all, which would not say which it was: annotate one of them"
        )
    if "union" in str(error):
        return f"{error}; use tagged msgspec Structs (class A(msgspec.Struct, tag=True)) for a choice between classes"
    return str(error)


def decode_fault(error: Exception) -> str:
    """The reason of a failed decoding, with msgspec's ``$`` paths written like those of encoding."""
    complaint = validation_fault(error)
    if complaint is not None:
        return complaint
    text = re.sub(r" - at `(key|value)` in `\$([^`]*)`", r" at a \1 of \2", str(error))
    return re.sub(r" - at `\$([^`]*)`", r" at \1", text).removesuffix(" of ").rstrip()


def type_name(annotation: Any) -> str:
    """How a type is called in errors: ``Order``, ``list[Order]``, ``int | None``."""
    if annotation is inspect.Parameter.empty:
        return "any JSON"
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__qualname__
    return str(annotation).replace("typing.", "")
