"""Data: the typed JSON of Keepstep and what belongs to it. Pure code without I/O."""

from .codec import decoder, encode
from .duration import Duration, to_seconds
from .retry import Retry

__all__ = ["Duration", "Retry", "decoder", "encode", "to_seconds"]
