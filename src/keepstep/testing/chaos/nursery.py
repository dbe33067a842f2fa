"""Nursery: forks lives, watches how far they come, and gives each the end that it is fated to have.

It has one thread and opens no engine, so that forking it is safe and cheap. It sleeps in ``poll`` until a life tells
something or a deed is due; what is due within a millisecond is slept for exactly.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random

from .fate import Fate, Stage, draw_fate, draw_steady_fate
from .ledger import Ledger
from .life import CLOSING, OPENED, WORKED, Birth, Life, Scene

ROLES = ("worker", "worker", "both", "client", "client")
"""Who is alive at any moment."""

STEADY = 0
"""The place of the worker that lives longer."""

OPENER_SHARE = 0.05
"""Of clients are openers instead."""

OVERDUE_SECONDS = 5.0
"""A life that does not come to its stage in this time is killed where it is."""

LISTEN_SECONDS_MAX = 0.1

STARTER_SECONDS_MAX = 300.0

_STAGES: dict[bytes, Stage] = {OPENED: "opened", WORKED: "worked", CLOSING: "closing"}


class Child:
    """A life as the nursery sees it."""

    def __init__(self, pid: int, birth: Birth, place: int, pipe: int, fate: Fate | None) -> None:
        self.pid = pid
        self.birth = birth
        self.place = place
        """Whose place among ``ROLES`` it has."""
        self.pipe = pipe
        self.fate = fate
        self.stage: Stage = "born"
        self.is_frozen = False
        self.is_sealed = False
        """Its end has been set."""


class Nursery:
    """See the module. ``kills`` counts the lives that SIGKILL has ended, by what they had come to."""

    def __init__(self, scene: Scene, dice: Random, count_troubles: Callable[[], int] = lambda: 0) -> None:
        self._scene = scene
        self._count_troubles = count_troubles
        self._dice = dice
        self._ledger = Ledger(scene.ledger_path, 0)
        self._poll = select.poll()
        self._children: dict[int, Child] = {}
        """By pipe."""
        self._due: list[tuple[float, int, str, Child]] = []
        self._numbers = count(1)
        self._tickets = count()
        self.kills: Counter[str] = Counter()
        self.freezes = 0
        self.closed = 0
        self.births = 0

    # the killing

    def play(self) -> None:
        """Fork and kill until it is enough; then kill the rest."""
        for place in range(len(ROLES)):
            self._bear(place)
        if not self._scene.campaign.kills:
            self.fork("postman")
        starter = self.fork("starter") if self._scene.campaign.runs else None
        while not self._is_enough():
            self._listen()
            self._act()
        if starter is not None and not self.wait_for(starter, STARTER_SECONDS_MAX):
            self._ledger.write("surprise", f"not all runs were started within {STARTER_SECONDS_MAX:g} s of their time")
        for child in list(self._children.values()):
            self.kill(child)
        self._due.clear()

    def _is_enough(self) -> bool:
        return self._scene.campaign.is_enough(
            kills=self.kills.total(),
            runs=self._scene.frontier.newest(),
            troubles=self._count_troubles(),
            now=time.monotonic(),
        )

    def _bear(self, place: int) -> None:
        role = ROLES[place]
        if not self._scene.campaign.kills:
            self.fork(role, place)
            return
        if role == "client" and self._dice.random() < OPENER_SHARE:
            role = "opener"
        fate = (
            draw_steady_fate(self._dice)
            if place == STEADY
            else draw_fate(self._dice, self._scene.campaign.lease_seconds)
        )
        child = self.fork(role, place, fate)
        self._reach(child, "born")
        self._set(child, OVERDUE_SECONDS, "overdue")

    def fork(self, role: str, place: int = 0, fate: Fate | None = None) -> Child:
        """A new life. Without a fate, nobody kills it."""
        number = next(self._numbers)
        birth = Birth(number, role, f"{self._scene.frontier.seed}/{number}")
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            Life(self._scene, birth, theirs).live()
        os.close(theirs)
        os.set_blocking(ours, False)
        child = Child(pid, birth, place, ours, fate)
        self._children[ours] = child
        self._poll.register(ours, select.POLLIN)
        self.births += 1
        return child

    def _listen(self, seconds_max: float = LISTEN_SECONDS_MAX) -> None:
        """Hear what lives tell, for as long as nothing is due."""
        wait = self._due[0][0] - time.monotonic() if self._due else LISTEN_SECONDS_MAX
        for pipe, _ in self._poll.poll(max(0.0, min(wait, seconds_max)) * 1000):
            child = self._children[pipe]
            told = os.read(pipe, 16)
            for letter in told:
                self._reach(child, _STAGES[bytes((letter,))])
            if not told:
                self._ended(child)

    def _reach(self, child: Child, stage: Stage) -> None:
        child.stage = stage
        fate = child.fate
        if fate is None or child.is_sealed:
            return
        if fate.stage == "closing" and stage == "worked":
            self._set(child, fate.close_after_seconds, "close")
        elif fate.stage == stage:
            child.is_sealed = True
            self._set(child, fate.delay_seconds, "freeze" if fate.frozen_seconds else "kill")

    def _set(self, child: Child, seconds: float, deed: str) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._tickets), deed, child))

    def _act(self) -> None:
        while self._due and self._due[0][0] - time.monotonic() < 0.001:
            moment, _, deed, child = heapq.heappop(self._due)
            if not self._is_alive(child):
                continue
            time.sleep(max(0.0, moment - time.monotonic()))
            self._do(deed, child)

    def _do(self, deed: str, child: Child) -> None:
        fate = child.fate
        if deed == "kill":
            together = fate is not None and fate.is_together
            for each in list(self._children.values()) if together else [child]:
                self.kill(each)
                self._bear(each.place)
        elif deed == "close":
            os.kill(child.pid, signal.SIGTERM)
        elif deed == "freeze" and fate is not None:
            self._freeze_for(child, fate)
        elif deed == "thaw":
            self.thaw(child)
        elif deed == "overdue" and not child.is_sealed:
            self.kill(child)
            self._bear(child.place)

    def _freeze_for(self, child: Child, fate: Fate) -> None:
        self.freeze(child)
        self._set(child, fate.frozen_seconds, "thaw")
        self._set(child, fate.frozen_seconds + fate.awake_seconds, "kill")

    def freeze(self, child: Child) -> None:
        """Let a life stand still."""
        os.kill(child.pid, signal.SIGSTOP)
        child.is_frozen = True
        self.freezes += 1
        self._ledger.write("frozen", child.birth.life)

    def thaw(self, child: Child) -> None:
        """Let it go on."""
        self._ledger.write("thawed", child.birth.life)
        child.is_frozen = False
        os.kill(child.pid, signal.SIGCONT)

    def kill(self, child: Child) -> None:
        """SIGKILL; unless it has just ended by itself, it counts."""
        os.kill(child.pid, signal.SIGKILL)
        if self._bury(child) == -signal.SIGKILL:
            self.kills["frozen" if child.is_frozen else child.stage] += 1
            self._ledger.write("killed", child.birth.life)

    def _ended(self, child: Child) -> None:
        """It has closed its pipe: it exits by itself."""
        code = self._bury(child)
        if code == 0:
            self.closed += 1
        else:
            self._ledger.write("surprise", f"a {child.birth.role} ended by itself with {code}")
        if child.fate is not None:
            self._bear(child.place)

    def _bury(self, child: Child) -> int:
        """The exit code, or minus the signal that ended it."""
        del self._children[child.pipe]
        self._poll.unregister(child.pipe)
        _, status = os.waitpid(child.pid, 0)
        os.close(child.pipe)
        return os.waitstatus_to_exitcode(status)

    # for those who direct lives themselves

    def linger(self, seconds: float) -> None:
        """Let time pass."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._listen(left)

    def wait_until(self, child: Child, stage: Stage, seconds: float) -> None:
        """Until a life has come to a stage; not longer than that."""
        until = time.monotonic() + seconds
        while child.stage != stage and self._is_alive(child) and time.monotonic() < until:
            self._listen()

    def wait_for(self, child: Child, seconds: float) -> bool:
        """Whether a life without a fate has ended by itself within this time."""
        until = time.monotonic() + seconds
        while self._is_alive(child) and time.monotonic() < until:
            self._listen()
        return not self._is_alive(child)

    def close(self, children: list[Child], seconds: float) -> None:
        """Ask lives to close; one that does not is a surprise."""
        for child in children:
            if self._is_alive(child):
                os.kill(child.pid, signal.SIGTERM)
        for child in children:
            if not self.wait_for(child, seconds):
                self._ledger.write("surprise", f"a {child.birth.role} did not close within {seconds:g} s")
                os.kill(child.pid, signal.SIGKILL)
                self._bury(child)

    def leave(self) -> None:
        """Nobody is left behind, whatever went wrong here."""
        for child in list(self._children.values()):
            os.kill(child.pid, signal.SIGKILL)
            self._bury(child)
        self._ledger.close()

    def _is_alive(self, child: Child) -> bool:
        return self._children.get(child.pipe) is child  # the number of a pipe is used again
