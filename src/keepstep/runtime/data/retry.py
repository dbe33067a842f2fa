"""Retry: how often, how soon and after which errors a step is tried again."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from keepstep.journal import InvalidInput

from .duration import Duration, to_seconds


@dataclass(frozen=True)
class Retry:
    """A retry policy. The wait grows by ``factor`` from ``initial`` to ``max_interval``, spread by ``jitter``.

    ``max_attempts`` counts the first attempt too; None tries for ever. ``jitter`` is the share (0 to 1) by which a
    wait may be shorter or longer. ``non_retryable`` takes exception classes (with their subclasses) or class names,
    short or with module (also matched against base classes). Raises ``InvalidInput`` for values that make no sense.
    """

    max_attempts: int | None = 3
    initial: Duration = 0.2
    factor: float = 2.0
    max_interval: Duration = 30
    jitter: float = 0.2
    non_retryable: tuple[type[BaseException] | str, ...] = ()

    def __post_init__(self) -> None:
        attempts = self.max_attempts
        if attempts is not None and (not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1):
            raise InvalidInput(f"Retry(max_attempts={attempts!r}): give a whole number from 1, or None for no limit")
        _check_number("factor", self.factor, 1.0, math.inf)
        _check_number("jitter", self.jitter, 0.0, 1.0)
        to_seconds(self.initial), to_seconds(self.max_interval)
        if not isinstance(self.non_retryable, tuple):
            object.__setattr__(self, "non_retryable", _as_tuple(self.non_retryable))
        for entry in self.non_retryable:
            _check_entry(entry)

    @cached_property
    def first_seconds(self) -> float:
        """The wait after the first failure, before jitter."""
        return to_seconds(self.initial)

    @cached_property
    def longest_seconds(self) -> float:
        """The limit of every wait, before jitter."""
        return to_seconds(self.max_interval)

    def delay_seconds(self, attempt: int, random: random.Random) -> float:
        """How long to wait after the failure of ``attempt`` (from 1), with jitter drawn from ``random``."""
        try:
            wait = self.first_seconds * self.factor ** (attempt - 1)
        except OverflowError:
            wait = math.inf
        wait = min(wait, self.longest_seconds)
        return wait * (1.0 + self.jitter * (2.0 * random.random() - 1.0))

    def allows(self, attempt: int) -> bool:
        """True if another attempt may follow the failed ``attempt`` (from 1)."""
        return self.max_attempts is None or attempt < self.max_attempts

    def as_plain(self) -> dict[str, Any]:
        """The policy as plain data, to be given to ``Retry(**data)`` elsewhere; classes are named."""
        return {
            "max_attempts": self.max_attempts,
            "initial": self.first_seconds,
            "factor": self.factor,
            "max_interval": self.longest_seconds,
            "jitter": self.jitter,
            "non_retryable": [
                entry if isinstance(entry, str) else f"{entry.__module__}.{entry.__qualname__}"
                for entry in self.non_retryable
            ],
        }

    def is_retryable(self, error: BaseException) -> bool:
        """False for errors of the ``non_retryable`` classes or names, and for what is no ``Exception`` at all."""
        if not isinstance(error, Exception):
            return False
        return not any(_matches(entry, type(error)) for entry in self.non_retryable)


def _matches(entry: type[BaseException] | str, kind: type[BaseException]) -> bool:
    if isinstance(entry, type):
        return issubclass(kind, entry)
    return any(entry in (base.__name__, f"{base.__module__}.{base.__qualname__}") for base in kind.__mro__)


def _check_number(name: str, value: object, least: float, most: float) -> None:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most
    if not fits or value == math.inf:
        limit = f"from {least:g}" if most == math.inf else f"between {least:g} and {most:g}"
        raise InvalidInput(f"Retry({name}={value!r}): give a number {limit}")


def _as_tuple(entries: object) -> tuple[object, ...]:
    return tuple(entries) if isinstance(entries, (list, set, frozenset)) else (entries,)


def _check_entry(entry: object) -> None:
    if not (isinstance(entry, str) or (isinstance(entry, type) and issubclass(entry, BaseException))):
        raise InvalidInput(f"Retry(non_retryable=…): {entry!r} is neither an exception class nor the name of one")
