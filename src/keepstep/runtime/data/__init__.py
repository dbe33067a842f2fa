"""Data: the typed JSON of Keepstep and what belongs to it. Pure code without I/O."""

from .codec import decoder, encode, reader
from .duration import Duration, to_seconds
from .failure import Failure, RemoteError, decode_failure, describe, encode_failure, rebuild
from .inputs import parse_json, parse_json_inputs
from .plain import plain_attributes, plain_text
from .retry import Retry
from .signature import Signature, digest
from .size import checked_name, within_limit

__all__ = [
    "Duration",
    "Failure",
    "RemoteError",
    "Retry",
    "Signature",
    "checked_name",
    "decode_failure",
    "decoder",
    "describe",
    "digest",
    "encode",
    "encode_failure",
    "parse_json",
    "parse_json_inputs",
    "plain_attributes",
    "plain_text",
    "reader",
    "rebuild",
    "to_seconds",
    "within_limit",
]
