"""Signature: the arguments and the result of a function as typed JSON.

Wire form of arguments, final since version 0.1:

* a JSON array, ``[order, 3]``, if the call can be made by position alone: what was given by keyword is moved to its
  position;
* else, that is with keyword-only or ``**`` arguments, or with one left out before a given one,
  ``{"args": [...], "kwargs": {...}}`` with both members, in this order, and the names in ``kwargs`` in the order of
  the function's parameters, those of ``**`` sorted behind them.

Defaults are never written: an argument left out is left to the code that runs, and need not be JSON.

Nothing else is ever written at the top, so the first byte says which it is, and equal calls have equal bytes.

Types are checked where arguments are read. Where they are written only one mistake is caught, because it costs next to
nothing: text, a number, a truth value or None where a dataclass, Struct or model is expected.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

import msgspec

from keepstep.journal import InvalidInput

from .annotations import Unresolved, resolve_annotations
from .codec import decoder, decoder_of_all, encode, encode_value, settle, type_name
from .codec import encode_unsettled as _encode
from .fault import field_names
from .models import is_model_class
from .schema import publish
from .versions import VERSIONED, opened, stamp, with_versions_of

DIGEST_BYTES = 8

_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class _Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    args: list[msgspec.Raw]
    kwargs: dict[str, msgspec.Raw]


_read_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_object = msgspec.json.Decoder(_Wire).decode


class Slot:
    """One parameter: its name, its annotation and, once needed, its decoder."""

    __slots__ = ("_decode", "annotation", "kind", "name", "record", "required")

    def __init__(self, parameter: inspect.Parameter, annotation: Any) -> None:
        self.name = parameter.name
        self.kind = parameter.kind
        self.annotation = _with_none(annotation) if parameter.default is None else annotation
        self.required = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        self.record = self.annotation if _is_record(self.annotation) else None
        self._decode: Callable[[bytes], Any] | None = None

    def decode(self, data: Any) -> Any:
        """Read one argument; ``data`` is its JSON."""
        if self._decode is None:
            self._decode = decoder(self.annotation)
        return self._decode(data)


class Signature:
    """How one function is called and answered; made once a function by ``Signature.of``."""

    def __init__(
        self,
        name: str,
        signature: inspect.Signature,
        annotations: Mapping[str, Any],
        refresh: Callable[[], tuple[Mapping[str, Any], bool]] | None = None,
    ) -> None:
        self.name = name
        self.signature = signature
        self.doc = ""
        self._refresh = refresh
        self._build(annotations)

    @classmethod
    def of(cls, fn: Callable[..., Any], *, skip_first: int = 0, names: Mapping[str, Any] | None = None) -> Signature:
        """The signature of a function, method or callable object, without its first ``skip_first`` parameters.

        ``names`` are further names that annotations given as text may use, such as the locals of the place where a
        decorator was applied. A name that is not defined yet is looked up again at the first use.
        """
        signature = inspect.signature(fn)
        if skip_first:
            signature = signature.replace(parameters=list(signature.parameters.values())[skip_first:])
        annotations, complete = resolve_annotations(fn, names)
        made = cls(
            getattr(fn, "__name__", type(fn).__name__),
            signature,
            annotations,
            None if complete else lambda: resolve_annotations(fn, names),
        )
        made.doc = inspect.getdoc(fn) or ""
        return made

    def _build(self, annotations: Mapping[str, Any]) -> None:
        slots = [Slot(p, annotations.get(n, p.empty)) for n, p in self.signature.parameters.items()]
        self._positional = [slot for slot in slots if slot.kind in _POSITIONAL]
        self._variadic = next((slot for slot in slots if slot.kind is inspect.Parameter.VAR_POSITIONAL), None)
        self._any_keyword = next((slot for slot in slots if slot.kind is inspect.Parameter.VAR_KEYWORD), None)
        self._required_count = sum(slot.required for slot in self._positional)
        self._keyword_required = any(slot.required for slot in slots if slot.kind is inspect.Parameter.KEYWORD_ONLY)
        self._records = [(n, slot) for n, slot in enumerate(self._positional) if slot.record is not None]
        self._result_annotation = annotations.get("return", inspect.Parameter.empty)
        self._decode_result: Callable[[bytes], Any] | None = None
        self._decode_all: Callable[[bytes], tuple[Any, ...]] | None = None
        """Reads all positional arguments at once, where each has a plain type. Made at the first use."""
        self._published: dict[str, Any] | None = None
        """Describing types takes long. Made at the first use, and kept for the next worker of this process."""
        self._tries_all = self._variadic is None and not self._keyword_required
        self._simple_max = len(self._positional) if not self._keyword_required else -1
        self.slots = slots

    def _resolve(self) -> None:
        if self._refresh is not None:
            annotations, complete = self._refresh()
            self._build(annotations)
            if complete:
                self._refresh = None

    def __str__(self) -> str:
        return f"{self.name}{self.signature}"

    def positional_slot(self, n: int) -> Slot | None:
        """The parameter that takes the n-th positional argument (from 0), None if there is none."""
        return self._positional[n] if n < len(self._positional) else self._variadic

    # arguments

    def encode_args(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
        """The arguments of a call in their wire form. Raises ``InvalidInput`` if the function cannot be called so."""
        data = self._encode_args(args, kwargs)
        return stamp(data, (args, kwargs)) if VERSIONED else data

    def _encode_args(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
        if kwargs or not self._required_count <= len(args) <= self._simple_max:
            return self._encode_bound(args, kwargs)
        for n, slot in self._records:
            if n < len(args) and type(args[n]) in _SCALARS:
                self._refuse_scalar(slot, args[n])
        try:
            data = _encode(args)
        except Exception:
            return self._encode_each(args)
        if data.find(b"[", 1) < 0 and b"null" not in data:
            return data
        return self._settle(args, data)

    def _settle(self, args: Sequence[Any], data: bytes) -> bytes:
        try:
            return settle(args, data)
        except InvalidInput:
            return self._encode_each(args)

    def _encode_each(self, args: Sequence[Any]) -> bytes:
        """One by one, so that an error names its argument."""
        return b"[" + b",".join(self._encode_one(self._slot_at(n), value) for n, value in enumerate(args)) + b"]"

    def _encode_one(self, slot: Slot, value: Any) -> bytes:
        if slot.record is not None and type(value) in _SCALARS:
            self._refuse_scalar(slot, value)
        return encode(value, f"{self.name}(): argument {slot.name!r}")

    def _encode_bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
        bound = self._bind(args, kwargs)
        by_name = bound.kwargs
        array = self._encode_each(bound.args)
        if not by_name:
            return array
        order = [slot.name for slot in self.slots if slot.kind in _NAMED and slot.name in by_name]
        order += sorted(name for name in by_name if name not in order)
        members = [encode(name) + b":" + self._encode_one(self._slot_named(name), by_name[name]) for name in order]
        return b'{"args":' + array + b',"kwargs":{' + b",".join(members) + b"}}"

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        try:
            return self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidInput(f"{self.name}() {error}; it is called as {self}") from None

    def check_args(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise ``InvalidInput`` if the function cannot be called with so many, or so named, arguments."""
        if kwargs or not self._required_count <= len(args) <= self._simple_max:
            self._bind(args, kwargs)

    def _refuse_scalar(self, slot: Slot, value: Any) -> None:
        raise InvalidInput(
            f"{self.name}(): argument {slot.name!r} must be {type_name(slot.annotation)}, "
            f"but is {value!r:.60} of type {type_name(type(value))}; it is called as {self}"
        )

    def decode_args(self, data: bytes) -> tuple[Sequence[Any], dict[str, Any]]:
        """Read arguments, each by its annotation. Raises ``InvalidInput`` that names function and argument."""
        if self._decode_all is not None:
            try:
                return self._decode_all(data), {}
            except Exception:  # fewer arguments, or one that does not fit: read them one by one, to say which
                pass
        elif self._tries_all:
            self._tries_all = False
            self._resolve()
            self._decode_all = decoder_of_all([slot.annotation for slot in self._positional])
        return self._decode_each(data)

    def _decode_each(self, data: bytes) -> tuple[Sequence[Any], dict[str, Any]]:
        if self._refresh is not None:
            self._resolve()
        if data[:1] == b"\x01":
            return self._decode_enveloped(data)
        args, kwargs = self._read(data)
        count = len(args)
        if count < self._required_count or count > len(self._positional) or kwargs or self._keyword_required:
            return self._decode_many(args, kwargs)
        decoded = []
        for slot, raw in zip(self._positional, args, strict=False):
            try:
                decoded.append(slot.decode(raw))
            except InvalidInput as error:
                raise self._misfit(slot, error) from error
        return decoded, {}

    def _decode_enveloped(self, data: bytes) -> tuple[Sequence[Any], dict[str, Any]]:
        """Arguments that say which versions of classes they hold: each is read knowing that."""
        args, kwargs = self._read(opened(data)[0])
        return self._decode_many(
            [with_versions_of(data, bytes(each)) for each in args],
            {name: with_versions_of(data, bytes(each)) for name, each in kwargs.items()},
        )

    def _read(self, data: bytes) -> tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]:
        try:
            if data[:1] == b"{":
                wire = _read_object(data)
                return wire.args, wire.kwargs
            return _read_array(data), {}
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"the arguments of {self.name}() cannot be read: {error}") from error

    def _decode_many(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidInput(f"the recorded arguments do not fit {self}: {error}") from None
        decoded = [self._decode_one(self._slot_at(n), raw) for n, raw in enumerate(args)]
        return decoded, {name: self._decode_one(self._slot_named(name), raw) for name, raw in kwargs.items()}

    def _decode_one(self, slot: Slot, raw: Any) -> Any:
        try:
            return slot.decode(raw)
        except InvalidInput as error:
            raise self._misfit(slot, error) from error

    def _misfit(self, slot: Slot, error: InvalidInput) -> InvalidInput:
        return InvalidInput(f"{self.name}(): argument {slot.name!r}: {error}")

    def _slot_at(self, n: int) -> Slot:
        slot = self.positional_slot(n)
        assert slot is not None  # the call was bound before
        return slot

    def _slot_named(self, name: str) -> Slot:
        named = (slot for slot in self.slots if slot.kind in _NAMED and slot.name == name)
        slot = next(named, self._any_keyword)
        assert slot is not None  # the call was bound before
        return slot

    # result

    def encode_result(self, value: Any) -> bytes:
        """What the function returned, as JSON."""
        return encode_value(value, f"the result of {self.name}()")

    def decode_result(self, data: bytes) -> Any:
        """Read what the function returned, by its return annotation."""
        if self._decode_result is None:
            self._resolve()
            self._decode_result = decoder(self._result_annotation)
        try:
            return self._decode_result(data)
        except InvalidInput as error:
            raise InvalidInput(f"the result of {self.name}(): {error}") from error

    def schema(self) -> dict[str, Any]:
        """What is published of the function (see ``keepstep.journal.Definition.schema``)."""
        self._resolve()
        if self._published is None:
            self._published = publish(self.slots, self._result_annotation, self.doc)
        return self._published.copy()


def _with_none(annotation: Any) -> Any:
    """``order: Order = None`` means ``Order | None``."""
    if annotation is inspect.Parameter.empty or isinstance(annotation, Unresolved):
        return annotation
    return Optional[annotation]  # noqa: UP045  `|` refuses what is no class


def _is_record(annotation: Any) -> bool:
    if not isinstance(annotation, type):
        return False
    if issubclass(annotation, msgspec.Struct):
        return not annotation.__struct_config__.array_like
    if is_model_class(annotation):
        return not getattr(annotation, "__pydantic_root_model__", False)
    return bool(field_names(annotation))


def digest(type_name: str, data: bytes) -> bytes:
    """What arguments are compared by: eight bytes of a name and an encoded value."""
    name = type_name.encode()
    return hashlib.blake2b(len(name).to_bytes(4) + name + data, digest_size=DIGEST_BYTES).digest()
