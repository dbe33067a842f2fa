"""Namespace: whose runs and queues these are. What lies in one namespace is not there for another.

Runs, definitions and attributes have their namespace in their keys. A queue has it in its name: what a journal keeps
under ``gpu`` is the queue of the namespace ``default``, and other namespaces have it under a *key* that begins with
theirs. Everything that goes by queues goes by these keys, so that claims, limits, rates, turns and fallbacks of several
namespaces have nothing to do with each other, and no statement of any store can forget a condition.
"""

from __future__ import annotations

from .errors import InvalidInput

DEFAULT = "default"

SEPARATOR = "\x1f"
"""Between a namespace and the name of a queue. No name of a queue may have it."""


def queue_prefix(namespace: str) -> str:
    """What the keys of a namespace's queues begin with."""
    return "" if namespace == DEFAULT else f"{namespace}{SEPARATOR}"


def queue_key(prefix: str, name: str) -> str:
    """Under which a journal keeps the queue. Raises ``InvalidInput`` for a name that could be another namespace's."""
    if not isinstance(name, str):
        raise InvalidInput(f"queue must be text, not {name!r:.100}")
    if SEPARATOR in name:
        raise InvalidInput(f"the name of a queue must not have the sign {SEPARATOR!r} in it, as {name!r:.100} has")
    return prefix + name


def queue_name(prefix: str, key: str) -> str:
    """What the namespace calls the queue of that key."""
    return key.removeprefix(prefix) if prefix else key


def is_queue_of(prefix: str, key: str) -> bool:
    """Whether the queue of that key belongs to the namespace."""
    return key.startswith(prefix) and SEPARATOR not in key[len(prefix) :]
