"""Data: the typed JSON of Keepstep and what belongs to it. Pure code without I/O."""

from .codec import decoder, encode, encode_value, reader
from .converters import converter
from .duration import Duration, to_seconds
from .failure import Failure, RemoteError, decode_failure, describe, encode_failure, rebuild
from .inputs import parse_json, parse_json_inputs
from .plain import plain_attributes, plain_text
from .retry import Retry
from .signature import Signature, digest
from .size import checked_name, within_limit
from .versions import are_comparable, digest_suffix, upcast

__all__ = [
    "Duration",
    "Failure",
    "RemoteError",
    "Retry",
    "Signature",
    "are_comparable",
    "checked_name",
    "converter",
    "decode_failure",
    "decoder",
    "describe",
    "digest",
    "digest_suffix",
    "encode",
    "encode_failure",
    "encode_value",
    "parse_json",
    "parse_json_inputs",
    "plain_attributes",
    "plain_text",
    "reader",
    "rebuild",
    "to_seconds",
    "upcast",
    "within_limit",
]
