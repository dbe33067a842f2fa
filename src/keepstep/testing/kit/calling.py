"""Calling: a test function of pytest is called on its stage."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from keepstep.journal import InvalidInput

from .mocking import forbid_steps
from .stage import Crash, Stage

CRASH: pytest.StashKey[Crash | None] = pytest.StashKey()
"""Where the worker of the test is to die this time."""

STAGED: pytest.StashKey[Stage] = pytest.StashKey()
"""The stage on which a test with crashes was played last."""


@contextmanager
def stage_for(item: pytest.Item) -> Iterator[Stage]:
    """The stage of a test, as its marks want it."""
    options: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("keepstep"))):  # the closest one last
        if marker.args:
            raise InvalidInput(f"the mark keepstep of {item.nodeid} takes options by name: @pytest.mark.keepstep(a=b)")
        options.update(marker.kwargs)
    mocked_only = options.pop("mocked_only", False)
    with Stage(item.stash.get(CRASH, None), **options) as stage:
        if CRASH in item.stash:
            item.stash[STAGED] = stage
        if not mocked_only:
            yield stage
            return
        with forbid_steps("the test is marked keepstep(mocked_only=True)"):
            yield stage


def call_in_virtual_time(item: pytest.Function, stage: Stage) -> bool | None:
    """Call an async test; sync tests are left to pytest."""
    test = _async_test(item)
    names = item._fixtureinfo.argnames
    _refuse_wrong_kind(item, names, is_async=test is not None)
    if test is None:
        return None
    arguments = {name: item.funcargs[name] for name in names}
    stage.play(lambda: test(**arguments))
    return True


def _async_test(item: pytest.Function) -> Any:
    """The test as it was written, which a plugin for async tests may have wrapped; None for a sync test."""
    written = getattr(item.module if item.instance is None else item.instance, item.originalname)
    return written if inspect.iscoroutinefunction(written) else None


FOR_ASYNC_TESTS = ("keepstep_engine", "keepstep_time", "keepstep_crash")
FOR_SYNC_TESTS = tuple(name.replace("keepstep_", "keepstep_blocking_") for name in FOR_ASYNC_TESTS)


def _refuse_wrong_kind(item: pytest.Function, names: tuple[str, ...], *, is_async: bool) -> None:
    wrong, fitting = (FOR_SYNC_TESTS, FOR_ASYNC_TESTS) if is_async else (FOR_ASYNC_TESTS, FOR_SYNC_TESTS)
    for taken, instead in zip(wrong, fitting, strict=True):
        if taken in names:
            kind = "async" if is_async else "a plain def"
            pytest.fail(f"{item.name} is {kind}, and takes {taken}; let it take {instead}", pytrace=False)
