"""pytest's door to ``keepstep.testing.kit``; pytest opens it by itself wherever Keepstep is installed.

It stands beside the package and imports nothing of it before a test asks for a fixture or bears a mark, so that a test
session without workflows does not pay for it. See ``docs/testing.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from keepstep import BlockingEngine, Engine, Interceptor
    from keepstep.testing.kit import Stage, StepMock, VirtualTime
    from keepstep.testing.kit.blocking import BlockingVirtualTime

MARKERS = (
    "keepstep(mocked_only=False, **options): how keepstep_engine is made: mocked_only=True forbids steps without a "
    "mock; the rest are options of Engine, such as queues or codec",
    "keepstep_chaos(crashes_max=1000): run the test again with a crash of the worker at every commit, on both sides",
)

STAGE = "_keepstep_stage"

CRASH = re.compile(r"[1-9]\d*-(before|after)")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("keepstep")
    group.addoption(
        "--keepstep-crash",
        metavar="N-SIDE",
        help="run tests marked keepstep_chaos with this crash alone, such as 7-before or 7-after",
    )


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    crash = config.getoption("--keepstep-crash")
    if crash is not None and not CRASH.fullmatch(crash):
        raise pytest.UsageError(
            f"--keepstep-crash is written as 7-before or 7-after, for the seventh commit, not {crash!r}"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Repeat tests that are marked keepstep_chaos."""
    marker = item.get_closest_marker("keepstep_chaos")
    if marker is None:
        return None
    from keepstep.testing.kit.chaos import run_with_crashes

    return run_with_crashes(item, nextitem, marker, item.config.getoption("--keepstep-crash"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run async tests in virtual time, whichever plugin for async tests there is beside this one."""
    if STAGE not in pyfuncitem.fixturenames:
        return None
    from keepstep.testing.kit.calling import call_in_virtual_time

    stage: Any = pyfuncitem.funcargs[STAGE]
    return call_in_virtual_time(pyfuncitem, stage)


@pytest.fixture(name=STAGE)
def keepstep_stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    from keepstep.testing.kit.calling import stage_for

    with stage_for(request.node) as stage:
        yield stage


@pytest.fixture
def keepstep_engine(_keepstep_stage: Stage) -> Engine:
    """An engine on a store in memory, in virtual time, with a worker beside it; for async tests."""
    return _keepstep_stage.engine


@pytest.fixture
def keepstep_time(_keepstep_stage: Stage) -> VirtualTime:
    """The virtual time of an async test: ``await keepstep_time.advance("30d")``, ``keepstep_time.now()``."""
    return _keepstep_stage.time


@pytest.fixture
def keepstep_crash(_keepstep_stage: Stage) -> Callable[[], Any]:
    """``await keepstep_crash()`` kills the worker here and now, and starts another one."""
    return _keepstep_stage.crash_worker


@pytest.fixture
def keepstep_blocking_engine(_keepstep_stage: Stage) -> BlockingEngine:
    """The same as ``keepstep_engine`` without ``await``, for sync tests."""
    from keepstep.testing.kit.blocking import StagedBlockingEngine

    return StagedBlockingEngine(_keepstep_stage)


@pytest.fixture
def keepstep_blocking_time(_keepstep_stage: Stage) -> BlockingVirtualTime:
    """The virtual time of a sync test: ``keepstep_blocking_time.advance("30d")``."""
    from keepstep.testing.kit.blocking import BlockingVirtualTime

    return BlockingVirtualTime(_keepstep_stage)


@pytest.fixture
def keepstep_blocking_crash(_keepstep_stage: Stage) -> Callable[[], None]:
    """``keepstep_blocking_crash()`` kills the worker here and now, and starts another one."""
    return lambda: _keepstep_stage.play(_keepstep_stage.crash_worker)


@pytest.fixture
def mock_step() -> Iterator[Callable[..., StepMock]]:
    """``charge_mock = mock_step(charge, returns=...)``: until the test ends; see ``keepstep.testing.kit.mock_step``."""
    from keepstep.testing.kit import mock_step

    with ExitStack() as mocks:
        yield lambda step, **answers: mocks.enter_context(mock_step(step, **answers))


@pytest.fixture
def keepstep_replay(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``keepstep_replay("order.json")`` fails if the code does not fit that history; paths are beside the test."""
    from keepstep.testing.kit import replay

    def replay_beside(file: Path | str, workflow: Any = None, interceptors: Sequence[Interceptor] = ()) -> None:
        replay(request.path.parent / file, workflow, interceptors)

    return replay_beside
