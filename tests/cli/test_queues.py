"""``keepstep queues``: an operator looks at queues, pauses them, and changes their limits under running workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_limits_are_changed_shown_and_given_back(keepstep: Command) -> None:
    assert keepstep("start", "anything", "--id", "a").returncode == 0
    assert keepstep("queues", "limit", "gpu", "--concurrency", "2", "--rate", "100/m").stdout == (
        "queue gpu: concurrency 2 (changed), rate 100/m (changed)\n"
    )
    assert keepstep("queues", "limit", "gpu", "--rate", "none").stdout == (
        "queue gpu: concurrency 2 (changed), rate lifted\n"
    )
    [shown] = keepstep.json("queues", "list")
    assert (shown["name"], shown["limits"], shown["waiting"], shown["is_paused"]) == (
        "gpu",
        {"concurrency": 2},
        0,
        False,
    )
    assert keepstep("queues", "limit", "gpu", "--concurrency", "code", "--rate", "code").stdout == "queue gpu: none\n"
    assert keepstep.json("queues", "show", "gpu")["changed"] == []


def test_a_paused_queue_keeps_a_run_waiting_and_show_says_so(keepstep: Command) -> None:
    assert keepstep("start", "anything", "--id", "a").returncode == 0
    assert keepstep("queues", "pause", "default").stdout == "queue default is paused\n"
    assert "It waits on queue 'default', which is paused: 0 before it." in keepstep("show", "a").stdout
    assert keepstep("queues", "resume", "default").stdout == "queue default goes on\n"
    assert "It waits on queue 'default': 0 before it." in keepstep("show", "a").stdout
    assert "default" in keepstep("queues", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("limit", "gpu", "--concurrency", "0"), "concurrency of queue 'gpu' is a whole number from 1 on"),
        (("limit", "gpu", "--rate", "fast"), "the rate of queue 'gpu' is a number of starts and a time"),
        (("limit", "gpu"), "which limit of queue 'gpu'?"),
        (("show", "gpu"), "nothing is kept of a queue 'gpu'"),
        (("resume", "gpu"), "nothing is kept of a queue 'gpu'"),
    ],
)
def test_wrong_use_says_what_was_expected(keepstep: Command, arguments: tuple[str, ...], said: str) -> None:
    assert keepstep("start", "anything", "--id", "a").returncode == 0
    ran = keepstep("queues", *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
