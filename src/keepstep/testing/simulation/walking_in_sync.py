"""Walking in sync: the nodes of programs that make sense without ``await``, walked by a sync workflow.

What a node is called, and what is told of it, is as in ``language``, whose steps these are.
"""

from __future__ import annotations

import asyncio
from typing import Any

import keepstep
from keepstep import sync
from keepstep.runtime.workflow import Workflow

from . import language
from .structures import NoLuck


class WalkInSync:
    """What one run of a program has seen, in the order in which it saw it."""

    def __init__(self, itself: Workflow[Any, Any]) -> None:
        self.trace: list[str] = []
        self.receipt = "start"
        self._itself = itself
        self._sagas = 0

    def go(self, node: list[Any]) -> str:
        """Walk a node and tell what came of it."""
        try:
            told = str(getattr(self, node[0])(*node[1:]))
        except NoLuck:
            told = "unlucky"
        except keepstep.StepFailed:
            told = "failed"
        except TimeoutError:
            told = "late"
        except asyncio.CancelledError:
            self.trace.append(f"cancelled {node[0]}")
            raise
        self.trace.append(f"{node[0]} {told}")
        return told

    def heard(self, receipt: str) -> str:
        self.receipt = receipt
        return receipt

    # leaves

    def step(self, name: str, seconds: float, fails: bool) -> str:
        return self.heard(language.act.start(name, self.receipt, seconds, fails).result())

    def retried(self, name: str, failures: int) -> str:
        return self.heard(language.act_stubbornly.start(name, self.receipt, failures).result())

    def threaded(self, name: str) -> str:
        return self.heard(language.act_on_a_thread.start(name, self.receipt).result())

    def elsewhere(self, name: str, failures: int) -> str:
        one_by_one = language.act_elsewhere.options(fairness_key=language.key_of(name))
        return self.heard(one_by_one.start(name, self.receipt, failures).result())

    def once(self, name: str, seconds: float) -> str:
        return self.heard(language.act_once.start(name, self.receipt, seconds).result())

    def sleep(self, seconds: float) -> str:
        before = sync.now()
        sync.sleep(seconds)
        passed = (sync.now() - before).total_seconds()
        return "slept" if passed >= seconds else f"woke {seconds - passed:g} s early"

    def receive(self, seconds: float) -> str:
        return str(sync.receive("word", timeout=seconds))

    def receive_at_last(self) -> str:
        """Waits for ever; whoever started the program sends as many as it has of these."""
        return str(sync.receive("must"))

    def callback(self, seconds: float) -> str:
        called = sync.callback()
        language.act.start(f"ask {called.token}", self.receipt, 0.0, False).result()
        return str(called.result(timeout=seconds))

    # structures

    def sequence(self, nodes: list[Any]) -> str:
        return " ".join([self.go(each) for each in nodes])

    def gather(self, nodes: list[Any]) -> str:
        return " ".join(sync.gather(*[sync.start(self.go, each) for each in nodes]))

    def timeout(self, seconds: float, node: list[Any]) -> str:
        with sync.timeout(seconds):
            return self.go(node)

    def finally_(self, node: list[Any], last: list[Any]) -> str:
        try:
            return self.go(node)
        finally:
            self.go(last)

    def cancelled(self, seconds: float, node: list[Any]) -> str:
        """What a branch says that is cancelled by another one."""
        branch = sync.start(self.go, node)
        sync.sleep(seconds)
        branch.cancel()
        try:
            return f"too late {branch.result()}"
        except asyncio.CancelledError:
            return "cancelled"

    def saga(self, name: str, nodes: list[Any], fails: bool) -> str:
        self._sagas += 1
        name = f"{name}, {self._sagas}"
        try:
            with sync.saga() as saga:
                for n, each in enumerate(nodes):
                    if each[0] == "step":
                        label, seconds, misses = each[1:]
                        given = (f"{label}@{n}", self.receipt, seconds, misses, name)
                        self.heard(saga.run(language.act, *given, undo=language.undo))
                    else:
                        self.go(each)
                if fails:
                    raise NoLuck("saga")
        except (NoLuck, keepstep.StepFailed):
            return f"{name} undone"
        return f"{name} done"

    def child(self, node: list[Any]) -> str:
        try:
            return " ".join(sync.start_child(self._itself, node).result())
        except keepstep.Cancelled:
            return "child cancelled"
