"""Ordinary workflow code passes the scan: a false alarm is worse than something missed."""

from __future__ import annotations

import importlib
import linecache

import pytest

from keepstep.runtime.guard import Nondeterminism, scan
from tests.runtime.guard.sources import Sources

ALLOWED = [
    ("import asyncio", "await asyncio.sleep(1)"),
    ("import asyncio", "return await asyncio.gather(order(), order())"),
    ("import asyncio", "async with asyncio.timeout(5):\n    await asyncio.wait_for(order(), 3)"),
    ("import asyncio", "async with asyncio.TaskGroup() as group:\n    group.create_task(order())"),
    ("import asyncio", "q = asyncio.Queue()\nasync with asyncio.Lock():\n    await q.put(1)"),
    ("import asyncio", "loop = asyncio.get_running_loop()\nreturn loop.time() + 1, loop.create_task(order())"),
    ("import asyncio", "try:\n    await order()\nexcept asyncio.CancelledError:\n    raise"),
    ("", "print(order, abs(-7))\nreturn {1, 2, 3}"),
    ("import logging\nlog = logging.getLogger()", "log.info('order %s', order)"),
    ("import time", "return time.gmtime(0), time.strftime('%Y', order), time.strptime(order, '%Y')"),
    ("from datetime import datetime, date, timedelta, UTC", "return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(1)"),
    ("from datetime import datetime", "return datetime.fromisoformat(order), datetime.fromtimestamp(0), datetime.max"),
    ("from datetime import datetime", "at: datetime = order\nreturn isinstance(at, datetime), at.isoformat()"),
    ("import random", "rng = random.Random(42)\nreturn rng.random(), isinstance(order, random.Random)"),
    ("import random\ndef pick(rng: random.Random): return rng.choice([1])", "return pick(order)"),
    (
        "import uuid",
        "return uuid.UUID(order), uuid.uuid5(uuid.NAMESPACE_URL, 'x'), uuid.uuid3(uuid.NAMESPACE_DNS, 'x')",
    ),
    ("import secrets", "return secrets.compare_digest('a', 'b')"),
    ("import os", "return os.path.join('a', 'b'), os.path.basename(order), os.sep, os.linesep"),
    ("from pathlib import Path", "p = Path('a') / 'b'\nreturn p.name, p.with_suffix('.x'), p.parent / 'c', str(p)"),
    ("import subprocess", "try:\n    await order()\nexcept subprocess.CalledProcessError:\n    pass"),
    ("import socket", "try:\n    await order()\nexcept socket.timeout:\n    return socket.AF_INET"),
    ("import sqlite3", "try:\n    await order()\nexcept sqlite3.IntegrityError:\n    pass"),
    ("import urllib.parse", "return urllib.parse.quote(order)"),
    ("import threading", "return isinstance(order, threading.Thread)"),
    (
        "import json, re, math, decimal",
        "return json.dumps(order), re.sub('a', 'b', 'c'), math.pi, decimal.Decimal('1')",
    ),
    ("import io", "return io.StringIO('x').read()"),
    ("def open(x): return x", "return open(order)"),
    ("def id(x): return x", "return id(order)"),
    ("", "open = order\nreturn open(1)"),
    ("", "def id(x): return x\nreturn id(order)"),
    ("", "return order.time(), order.open(), order.random.choice([1]), order.id, order.now()"),
    ("", "for id in order:\n    yield id"),
    ("import types\ntime = types.SimpleNamespace(time=lambda: 0)", "return time.time()"),
    ("import keepstep", "return keepstep.random(), keepstep.uuid4(), keepstep.now(), keepstep.sleep(1)"),
    ("from keepstep.runtime.ambient import random, uuid4, now", "return random().choice([1]), uuid4(), now()"),
    ("import time", "if order:\n    t = time\nelse:\n    t = order\nreturn t.time()"),
    ("import time", "def inner(time):\n    return time.time()\nreturn inner(order)"),
    ("import time", "return [time.time() for time in order], (lambda time: time.time())(order)"),
    ("import subprocess", "class Popen: ...\nreturn Popen()"),
    (
        "from enum import Enum\nclass Kind(Enum):\n    open = 1\n    time = 2",
        "return Kind.open, Kind['time'], Kind.time.name",
    ),
]


@pytest.mark.parametrize(("imports", "body"), ALLOWED, ids=lambda part: part[:60])
def test_ordinary_workflow_code_passes(sources: Sources, imports: str, body: str) -> None:
    scan(sources.workflow(imports, body)[0])


UNSAFE = [
    "with keepstep.unsafe():\n    time.time()",
    "with unsafe():\n    time.time()",
    """
with unsafe():
    try:
        time.time()
    except OSError as error:
        time.time()
    finally:
        time.time()
""",
    """
with unsafe():
    if order:
        return time.time()
    for _ in order:
        time.time()
""",
    """
with unsafe():
    await order(time.time())
    async with order:
        time.time()
    with order as a, order as b:
        time.time()
""",
    "with unsafe():\n    order([time.time() for _ in order], (lambda: time.time())())",
    "with unsafe():\n    helper()",
    "with order, unsafe():\n    time.time()",
    "with unsafe(), open('x') as file:\n    file.read()",
    "try:\n    with unsafe():\n        time.time()\nfinally:\n    order()",
    "async def inner():\n    with unsafe():\n        return time.time()\nawait inner()",
    """
for _ in order:
    with unsafe():
        if time.time():
            continue
        if time.time():
            break
        raise ValueError(time.time())
""",
]
UNSAFE_IMPORTS = """
import time, types
from keepstep.runtime.guard import unsafe
keepstep = types.SimpleNamespace(unsafe=unsafe)
def helper(): return time.time()
""".strip()


@pytest.mark.parametrize("body", UNSAFE)
def test_code_inside_unsafe_is_left_alone(sources: Sources, body: str) -> None:
    scan(sources.workflow(UNSAFE_IMPORTS, body)[0])


@pytest.mark.parametrize("body", UNSAFE)
def test_code_after_unsafe_is_not_left_alone(sources: Sources, body: str) -> None:
    flow, line = sources.workflow(UNSAFE_IMPORTS, f"{body}\ntime.monotonic()  # here")
    with pytest.raises(Nondeterminism) as caught:
        scan(flow)
    assert [(finding.used, finding.line) for finding in caught.value.findings] == [("time.monotonic", line)]


def test_code_before_unsafe_and_beside_it_is_not_left_alone(sources: Sources) -> None:
    body = (
        "time.time()\nwith unsafe():\n    time.time()\ntry:\n    time.time_ns()\nexcept OSError:\n    time.monotonic()"
    )
    with pytest.raises(Nondeterminism) as caught:
        scan(sources.workflow(UNSAFE_IMPORTS, body)[0])
    assert [finding.used for finding in caught.value.findings] == ["time.time", "time.time_ns", "time.monotonic"]


def test_steps_and_other_workflows_may_do_anything(sources: Sources) -> None:
    module = sources.module(
        "guarded_steps",
        """
        import functools, time
        class Step:
            __keepstep__ = "step"
            def __init__(self, fn):
                self.fn = self.__wrapped__ = fn
            def __call__(self, *args):
                return self.fn(*args)
        def marked(fn):
            fn.__keepstep__ = "step"
            return fn
        @Step
        def charge():
            return time.time()
        @marked
        def ship():
            return time.time()
        async def flow():
            await charge()
            return ship(), charge.__call__
        """,
    )
    scan(module.flow)


def test_libraries_are_not_followed(sources: Sources) -> None:
    sources.write("site-packages/guarded_library", "import time\ndef stamp(): return time.time()\n")
    module = sources.module(
        "guarded_user",
        f"""
        import sys, email.utils, tempfile
        sys.path.insert(0, {str(sources.folder / "site-packages")!r})
        import guarded_library
        sys.path.pop(0)
        async def flow():
            return guarded_library.stamp(), email.utils.formatdate()
        """,
    )
    scan(module.flow)


def test_a_default_factory_that_is_not_used_is_no_finding(sources: Sources) -> None:
    module = sources.module(
        "guarded_dataclass",
        """
        import uuid
        from dataclasses import dataclass, field
        @dataclass
        class Event:
            id: str = field(default_factory=uuid.uuid4)
        async def flow(key):
            return Event(id=key)
        """,
    )
    scan(module.flow)


def test_scanning_runs_no_code_of_the_user(sources: Sources) -> None:
    module = sources.module(
        "guarded_dynamic",
        """
        class Trap:
            def __getattr__(self, name): raise RuntimeError(name)
            def __eq__(self, other): raise RuntimeError("eq")
            __hash__ = None
            @property
            def x(self): raise RuntimeError("x")
            @property
            def __class__(self): raise RuntimeError("class")
        trap = Trap()
        class Holder:
            trap = trap
        async def flow():
            local = trap
            local = trap
            return trap.anything.more(), trap.x, Holder().trap.y, Holder.trap(), local == trap
        """,
    )
    scan(module.flow)


EVERYDAY_MODULES = """
argparse asyncio.base_events asyncio.tasks asyncio.streams asyncio.taskgroups calendar configparser csv dataclasses
email.message enum fractions gettext http.client json.decoder logging logging.handlers pathlib shutil statistics
string subprocess tarfile tempfile textwrap typing urllib.request uuid zipfile
""".split()


@pytest.mark.parametrize("name", EVERYDAY_MODULES)
def test_every_finding_in_a_large_body_of_code_stands_in_its_line(name: str) -> None:
    """Thousands of real functions: the walk loses its way in none, and never blames a line for what it does not say."""
    module = importlib.import_module(name)
    things = [thing for thing in vars(module).values() if getattr(thing, "__module__", "") == module.__name__]
    for thing in things:
        try:
            scan(thing)
        except Nondeterminism as error:
            for finding in error.findings:
                text = linecache.getline(finding.file, finding.line)
                last = finding.used.rpartition(".")[2]
                # `from time import monotonic as _time` and `from os import urandom as _randombytes` are such lines too.
                assert last in text or "time(" in text or "random" in text or finding.file.startswith("<frozen"), (
                    finding
                )
