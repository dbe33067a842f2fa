"""What workflow code may ask of its surroundings, with answers that replay alike: time, chance, identity, status."""

from __future__ import annotations

import random as random_module
import uuid
from datetime import UTC, datetime
from typing import Any

from .call import required
from .data import plain_attributes, plain_text
from .execution import RunInfo


def now() -> datetime:
    """The current time, aware and in UTC. It stands still between two things that happen to the run."""
    return datetime.fromtimestamp(required("now", only_looks=True).now / 1e6, UTC)


def random() -> random_module.Random:
    """The run's own random generator, seeded by the run."""
    return required("random").random()


def uuid4() -> uuid.UUID:
    """A random UUID that is the same at every replay."""
    return uuid.UUID(int=required("uuid4").random().getrandbits(128), version=4)


def info() -> RunInfo:
    """Which run this is."""
    return required("info", only_looks=True).info()


def all_handlers_finished() -> bool:
    """True while no handler of a signal or an update is at work. For ``wait_for``, before a run ends or continues.

    A run that completes or continues waits for its handlers by itself; a function that must not go on without them
    waits for this.
    """
    return not required("all_handlers_finished", only_looks=True).handling.at_work


def is_replaying() -> bool:
    """True in a turn that an earlier owner of the run may have run: ``keepstep.logger`` is quiet then.

    For what only looks on, such as a metrics library of your own in workflow code. What is asked for must never hang on
    it: a replay would ask for something else, and the run would be blocked.
    """
    return required("is_replaying", only_looks=True).is_quiet


def set_status(text: str) -> None:
    """Tell people what the run is doing; shown by ``describe()`` and ``keepstep show``. Not part of history.

    Raises ``InvalidInput`` for what is no text.
    """
    required("set_status").status_text = plain_text(text, "the status")


def set_attributes(**attributes: Any) -> None:
    """Set attributes of the run, by which it can be found (``docs/searching.md``). None removes one.

    Text, numbers, truth, times and lists of text can be searched by; other JSON values are only shown. An attribute has
    the type of the first value that any run gave it, and a run that sets another one is *blocked*, which says so.

    Raises ``AttributeRefused`` for a name that every run has already, ``InvalidInput`` for what JSON cannot carry.
    """
    required("set_attributes").attributes.update(plain_attributes(attributes))
