"""Chaos: a test is run plainly, which counts its commits, and then once for each commit and each side of it.

Each time the test has all of its fixtures anew, a new store, and a worker that dies there and is replaced. The test
itself goes on, as a client would: its assertions must hold each time. It counts as one test, which ends with the first
run that fails; the report says which it was, and how to see it again.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _pytest.runner import runtestprotocol

from .burial import bury
from .calling import CRASH, STAGED
from .stage import Crash, Stage

CRASHES_MAX = 1000
SIDES = ("before", "after")


def run_with_crashes(item: pytest.Item, nextitem: pytest.Item | None, marker: pytest.Mark, only: str | None) -> bool:
    """The whole protocol of a test marked keepstep_chaos."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    limit = marker.kwargs.get("crashes_max", CRASHES_MAX)
    try:
        reports = _run(item, Crash.parse(only)) if only else _run_all(item, limit)
    finally:
        bury()
        del item.stash[CRASH]
        if STAGED in item.stash:
            del item.stash[STAGED]
    # Each run left the fixtures of modules and sessions alone; those that the next test does not need end here.
    ending = pytest.CallInfo.from_call(lambda: item.session._setupstate.teardown_exact(nextitem), "teardown")
    if ending.excinfo is not None:
        reports.append(pytest.TestReport.from_item_and_call(item, ending))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _run_all(item: pytest.Item, crashes_max: int) -> list[pytest.TestReport]:
    """The reports of the plain run if all went well, or else those of the run that failed."""
    plain = _run(item, None)
    stage = item.stash.get(STAGED, None)
    if any(each.outcome != "passed" for each in plain):
        return plain
    problem = _problem(stage, crashes_max)
    if problem:
        return [_failed(each, problem) if each.when == "call" else each for each in plain]
    assert stage is not None
    seconds = sum(each.duration for each in plain)
    for crash in _crashes(stage.commits):
        reports = _run(item, crash)
        seconds += sum(each.duration for each in reports)
        if any(each.failed for each in reports):
            return reports
    for each in plain:
        if each.when == "call":
            each.duration = seconds
            each.user_properties.append(("keepstep_crashes", 2 * stage.commits))
    return plain


def _crashes(commits: int) -> Iterator[Crash]:
    for commit in range(1, commits + 1):
        for side in SIDES:
            yield Crash(commit, side)


def _problem(stage: Stage | None, crashes_max: int) -> str:
    """Why the test cannot be run with crashes."""
    if stage is None:
        return "keepstep_chaos needs an engine to crash; let the test take keepstep_engine or keepstep_blocking_engine"
    if not stage.commits:
        return "the worker made no commit in this test, so that there is nowhere to crash; start a workflow in it"
    if 2 * stage.commits > crashes_max:
        return (
            f"this test makes {stage.commits} commits, so that it would be run {2 * stage.commits} times more; "
            f"make it smaller, or allow it: @pytest.mark.keepstep_chaos(crashes_max={2 * stage.commits})"
        )
    return ""


def _run(item: pytest.Item, crash: Crash | None) -> list[pytest.TestReport]:
    """Set the test up, call it and tear it down, with that crash."""
    item.stash[CRASH] = crash
    assert item.parent is not None
    if STAGED in item.stash:
        del item.stash[STAGED]
    reports: list[pytest.TestReport] = runtestprotocol(item, log=False, nextitem=item.parent)  # type: ignore[arg-type]
    if crash is not None:
        stage = item.stash.get(STAGED, None)
        if stage is not None and not stage.doomed and all(each.passed for each in reports):
            problem = f"the crash {crash} did not happen: the test made {stage.commits} commits this time"
            reports = [_failed(each, problem) if each.when == "call" else each for each in reports]
        for report in reports:
            if report.failed:
                report.sections.append(("keepstep chaos", _story(item, crash, stage)))
    return reports


def _story(item: pytest.Item, crash: Crash, stage: Stage | None) -> str:
    """Where the worker was killed, and how to see it again."""
    doomed = stage.doomed if stage is not None and stage.doomed else f"at {crash}, which it did not come to"
    return (
        f"the test failed when the worker was killed {doomed}\n"
        f"run just that: pytest '{item.nodeid}' --keepstep-crash {crash}"
    )


def _failed(report: pytest.TestReport, problem: str) -> pytest.TestReport:
    report.outcome = "failed"
    report.longrepr = problem
    return report
