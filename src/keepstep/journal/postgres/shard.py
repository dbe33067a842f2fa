"""Shard: which part of the journal a workflow id lies in, and the numbers that say so.

The shard is a hash of namespace and workflow id, the same for ever and in every language, SQL among them; how many
there are is fixed when the journal is made. A run's number, and a task's, holds it in its lowest ten bits, so that
whoever knows the number knows the shard.
"""

from __future__ import annotations

import hashlib

SHARD_BITS = 10
SHARD_MASK = (1 << SHARD_BITS) - 1


def shard_of(namespace: str, workflow_id: str, shards: int) -> int:
    digest = hashlib.sha256(f"{namespace}\0{workflow_id}".encode()).digest()
    return int.from_bytes(digest[:4]) % shards


def number_in(shard: int, drawn: int) -> int:
    """A number that holds its shard."""
    return drawn << SHARD_BITS | shard


def shard_in(number: int) -> int:
    return number & SHARD_MASK
