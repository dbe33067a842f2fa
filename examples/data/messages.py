"""Classes of somebody else's: the messages of Protobuf, all of them taught at once, and Python's fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import StringValue

import keepstep
from keepstep import step, workflow

keepstep.converter(
    Message,
    encode=lambda message: message.SerializeToString(deterministic=True),
    decode=lambda data, kind: kind.FromString(data),
    wire=bytes,
    subclasses=True,
)
keepstep.converter(Fraction, encode=str, decode=Fraction, wire=str)


@dataclass(frozen=True)
class Reading:
    """Known classes may have taught ones in their fields."""

    at: Timestamp
    share: Fraction


@step
async def rename(names: list[StringValue]) -> list[StringValue]:
    return [StringValue(value=name.value.title()) for name in names]


@workflow
async def measure(reading: Reading, names: list[StringValue]) -> Reading:
    renamed = await rename(names)
    at = Timestamp(seconds=reading.at.seconds + len(renamed))
    return Reading(at, reading.share / len(renamed))
