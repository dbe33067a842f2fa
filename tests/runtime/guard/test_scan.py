"""Which workflow code the scan refuses, and at which line. What it must leave alone is in ``test_scan_allows``."""

from __future__ import annotations

import pytest

from keepstep.runtime.guard import Nondeterminism, scan, scan_again
from tests.runtime.guard.sources import Sources

FLAGGED = [
    # clocks
    ("import time", "return time.time()  # here", "time.time", "keepstep.now()"),
    ("import time", "return time.monotonic_ns()  # here", "time.monotonic_ns", "keepstep.now()"),
    ("import time as t", "return t.perf_counter()  # here", "time.perf_counter", "keepstep.now()"),
    ("from time import time", "return time()  # here", "time.time", "keepstep.now()"),
    ("from time import time as clock", "return clock()  # here", "time.time", "keepstep.now()"),
    ("import time", "return time.gmtime()  # here", "time.gmtime", "keepstep.now()"),
    ("import time", "return time.strftime('%Y')  # here", "time.strftime", "keepstep.now()"),
    ("import datetime", "return datetime.datetime.now()  # here", "datetime.datetime.now", "keepstep.now()"),
    ("from datetime import datetime", "return datetime.utcnow()  # here", "datetime.datetime.utcnow", "keepstep.now()"),
    ("from datetime import datetime, UTC", "return datetime.now(UTC)  # here", "datetime.datetime.now", "now()"),
    ("from datetime import datetime", "return datetime.today()  # here", "datetime.date.today", "keepstep.now()"),
    ("from datetime import date", "return date.today()  # here", "datetime.date.today", "keepstep.now()"),
    ("import datetime as dt\nnow = dt.datetime.now", "return now()  # here", "datetime.datetime.now", "keepstep.now()"),
    ("import time", "time.sleep(5)  # here", "time.sleep", "keepstep.sleep"),
    ("import sys", "return sys.stdin.readline()  # here", "sys.stdin", "keepstep.human_task"),
    ("", "return hash(order) % 4  # here", "hash", "zlib.crc32"),
    # chance and identity
    ("import random", "return random.random()  # here", "random.random", "keepstep.random()"),
    ("from random import choice", "return choice([1, 2])  # here", "random.choice", "keepstep.random()"),
    ("import random", "return sorted([1], key=lambda _: random.random())  # here", "random.random", "random()"),
    ("import random", "return random.SystemRandom().random()  # here", "random.SystemRandom", "keepstep.random()"),
    ("import random", "return random.Random().random()  # here", "random.Random", "keepstep.random()"),
    (
        "import random\nRNG = random.Random(7)",
        "return RNG.random()  # here",
        "random.Random.random",
        "keepstep.random()",
    ),
    ("import secrets", "return secrets.token_hex()  # here", "secrets.token_hex", "keepstep.random()"),
    ("import secrets", "return secrets.choice([1])  # here", "secrets.choice", "keepstep.random()"),
    ("import uuid", "return uuid.uuid4()  # here", "uuid.uuid4", "keepstep.uuid4()"),
    ("from uuid import uuid1", "return str(uuid1())  # here", "uuid.uuid1", "keepstep.uuid4()"),
    ("import os", "return os.urandom(4)  # here", "os.urandom", "keepstep.random()"),
    ("", "return id(order)  # here", "id", "memory addresses"),
    # the host
    ("import os", "return os.environ['HOME']  # here", "os.environ", "@step"),
    ("from os import environ", "return environ.get('HOME')  # here", "os.environ", "@step"),
    ("import os", "return os.getenv('HOME')  # here", "os.getenv", "@step"),
    ("import os", "return os.getpid()  # here", "os.getpid", "@step"),
    ("import socket", "return socket.gethostname()  # here", "socket.gethostname", "@step"),
    # files
    ("", "return open('x').read()  # here", "open", "@step"),
    ("", "with open('x') as file:  # here\n    return file.read()", "open", "@step"),
    ("import io", "return io.open('x')  # here", "io.open", "@step"),
    ("from pathlib import Path", "return Path('x').read_text()  # here", "pathlib.Path.read_text", "@step"),
    ("from pathlib import Path", "p = Path('x')\nreturn (p / 'y').exists()  # here", "pathlib.Path.exists", "@step"),
    ("from pathlib import Path\nP = Path('x')", "P.write_text('')  # here", "pathlib.Path.write_text", "@step"),
    ("import os", "return os.path.exists('x')  # here", "os.path.exists", "@step"),
    ("import os.path", "return os.path.getmtime('x')  # here", "os.path.getmtime", "@step"),
    ("import os", "return os.listdir('.')  # here", "os.listdir", "@step"),
    ("import shutil", "shutil.rmtree('x')  # here", "shutil.rmtree", "@step"),
    ("import tempfile", "tempfile.mkdtemp()  # here", "tempfile.mkdtemp", "@step"),
    # processes, network, databases
    ("import subprocess", "subprocess.run(['ls'])  # here", "subprocess.run", "@step"),
    ("import subprocess", "subprocess.Popen(['ls'])  # here", "subprocess.Popen", "@step"),
    ("import os", "os.system('ls')  # here", "os.system", "@step"),
    ("import socket", "socket.create_connection(('x', 1))  # here", "socket.create_connection", "@step"),
    ("import socket", "socket.socket()  # here", "socket.socket", "@step"),
    ("from urllib.request import urlopen", "urlopen('http://x')  # here", "urllib.request.urlopen", "@step"),
    ("import urllib.request", "urllib.request.urlopen('http://x')  # here", "urllib.request.urlopen", "@step"),
    ("import sqlite3", "sqlite3.connect('x')  # here", "sqlite3.connect", "@step"),
    (
        "import sqlite3\nDB = sqlite3.connect(':memory:')",
        "DB.execute('x')  # here",
        "sqlite3.Connection.execute",
        "@step",
    ),
    ("import smtplib", "smtplib.SMTP('x')  # here", "smtplib.SMTP", "@step"),
    ("", "return input('name?')  # here", "input", "human_task"),
    # threads and other loops
    ("import threading", "threading.Thread(target=print).start()  # here", "threading.Thread", "asyncio tasks"),
    ("from threading import Timer", "Timer(1 if order else 2, print)  # here", "threading.Timer", "asyncio tasks"),
    (
        "from concurrent.futures import ThreadPoolExecutor",
        "with ThreadPoolExecutor() as pool:  # here\n    pass",
        "concurrent.futures.ThreadPoolExecutor",
        "@step",
    ),
    ("import multiprocessing", "multiprocessing.Process()  # here", "multiprocessing.Process", "@step"),
    ("import asyncio", "await asyncio.to_thread(print)  # here", "asyncio.to_thread", "@step"),
    ("import asyncio", "await asyncio.open_connection('x', 1)  # here", "asyncio.open_connection", "@step"),
    ("import asyncio", "await asyncio.create_subprocess_exec('x')  # here", "asyncio.create_subprocess_exec", "@step"),
    (
        "import asyncio",
        "loop = asyncio.get_running_loop()\nawait loop.run_in_executor(None, print)  # here",
        "asyncio.AbstractEventLoop.run_in_executor",
        "@step",
    ),
    # other shapes of code
    ("", "import time\nreturn time.time()  # here", "time.time", "keepstep.now()"),
    ("", "from random import randint as dice\nreturn dice(1, 6)  # here", "random.randint", "keepstep.random()"),
    ("", "import requests\nreturn requests.get('http://x')  # here", "requests.get", "@step"),
    ("", "import httpx\nasync with httpx.AsyncClient() as c:  # here\n    pass", "httpx.AsyncClient", "@step"),
    ("", "import boto3\nreturn boto3.client('s3')  # here", "boto3.client", "@step"),
    ("", "import aiohttp\nreturn aiohttp.ClientSession()  # here", "aiohttp.ClientSession", "@step"),
    ("import time", "t = time\nreturn t.time()  # here", "time.time", "keepstep.now()"),
    ("import time", "return [time.time() for _ in range(2)]  # here", "time.time", "keepstep.now()"),
    ("import time", "return {x: y async for x, y in order if time.time()}  # here", "time.time", "keepstep.now()"),
    ("import time", "return sum(time.time() for _ in order)  # here", "time.time", "keepstep.now()"),
    ("import time", "def inner():\n    return lambda: time.time()  # here\nreturn inner()()", "time.time", "now()"),
    ("", "import time\ndef inner():\n    return time.time()  # here\nreturn inner()", "time.time", "keepstep.now()"),
    ("import time", "class A:\n    at = time.time()  # here\nreturn A", "time.time", "keepstep.now()"),
    ("import time", "try:\n    pass\nfinally:\n    time.time()  # here", "time.time", "keepstep.now()"),
    ("import time", "try:\n    pass\nexcept OSError:\n    time.time()  # here", "time.time", "keepstep.now()"),
    ("import time", "match order:\n    case {'a': 1}:\n        return time.time()  # here", "time.time", "now()"),
    ("import time", "return order.get('at', time.time() if order else 0)  # here", "time.time", "keepstep.now()"),
    ("import time", "return f'{time.time():.2f}'  # here", "time.time", "keepstep.now()"),
    ("import time", "call = map\nreturn call(time.time, [])  # here", "time.time", "keepstep.now()"),
    ("import time", "while order:\n    if time.time() > 5: break  # here", "time.time", "keepstep.now()"),
    ("import subprocess", "subprocess.Popen(*order, **order)  # here", "subprocess.Popen", "@step"),
    ("import subprocess", "subprocess.Popen(['ls'], shell=True)  # here", "subprocess.Popen", "@step"),
]


@pytest.mark.parametrize(("imports", "body", "used", "instead"), FLAGGED, ids=lambda part: part[:60])
def test_a_use_of_the_real_world_is_named_with_its_line_and_the_right_call(
    sources: Sources, imports: str, body: str, used: str, instead: str
) -> None:
    flow, line = sources.workflow(imports, body)
    with pytest.raises(Nondeterminism) as caught:
        scan(flow)
    error = caught.value
    assert (error.used, error.line) == (used, line)
    assert error.file == str(sources.folder / "guarded_flow.py")
    assert instead in error.instead
    assert f"{error.file}:{line}: {used}" in str(error)
    assert len(error.findings) == 1


def test_helpers_of_the_users_own_code_are_followed_and_the_way_is_told(sources: Sources) -> None:
    sources.write("shop/__init__.py".removesuffix(".py"), "")
    sources.write(
        "shop.prices", "import time\ndef stamp():\n    return time.time()\ndef price():\n    return stamp()\n"
    )
    module = sources.module("shop.flows", "from shop import prices\nasync def flow():\n    return prices.price()\n")
    with pytest.raises(Nondeterminism, match="flow > price > stamp") as caught:
        scan(module.flow)
    assert (caught.value.line, caught.value.file) == (3, str(sources.folder / "shop/prices.py"))


def test_methods_of_known_classes_are_followed(sources: Sources) -> None:
    module = sources.module(
        "guarded_methods",
        """
        import time
        from dataclasses import dataclass

        @dataclass
        class Order:
            total: int
            @property
            def age(self):
                return self.stamp()
            def stamp(self):
                return time.time()  # here

        class Clock:
            def __init__(self):
                self.at = time.monotonic()

        async def by_annotation(order: Order):
            return order.age

        async def by_text(order: "Order"):
            return order.stamp()

        async def by_construction():
            return Clock()
        """,
    )
    for flow, line in ((module.by_annotation, 12), (module.by_text, 12), (module.by_construction, 16)):
        with pytest.raises(Nondeterminism) as caught:
            scan(flow)
        assert caught.value.line == line


def test_decorated_helpers_are_followed_through_the_wrapper(sources: Sources) -> None:
    module = sources.module(
        "guarded_wrapped",
        """
        import functools, time
        def loud(fn):
            @functools.wraps(fn)
            def wrapper(*args):
                return fn(*args)
            return wrapper
        @loud
        def stamp():
            return time.time()
        @functools.lru_cache
        def cached():
            return time.time_ns()
        bound = functools.partial(stamp)
        async def one(): return stamp()
        async def two(): return cached()
        async def three(): return bound()
        """,
    )
    for flow, used in ((module.one, "time.time"), (module.two, "time.time_ns"), (module.three, "time.time")):
        with pytest.raises(Nondeterminism) as caught:
            scan(flow)
        assert caught.value.used == used


def test_all_methods_of_a_workflow_class_are_read(sources: Sources) -> None:
    module = sources.module(
        "guarded_class",
        """
        import time
        class Flow:
            async def run(self): ...
            def on_signal(self):
                return self._stamp()
            def _stamp(self):
                return time.time()
        """,
    )
    with pytest.raises(Nondeterminism) as caught:
        scan(module.Flow)
    assert caught.value.line == 8


def test_a_name_defined_after_the_workflow_is_found_by_the_second_scan(sources: Sources) -> None:
    module = sources.module(
        "guarded_late",
        """
        from keepstep.runtime.guard import scan
        async def flow():
            return later()
        scan(flow)
        import time
        def later():
            return time.time()
        """,
    )
    with pytest.raises(Nondeterminism) as caught:
        scan_again(module.flow)
    assert caught.value.line == 8


def test_all_findings_are_told_at_once(sources: Sources) -> None:
    flow, _ = sources.workflow("import time, random", "a = time.time()\nb = random.random()\nreturn a, b")
    with pytest.raises(Nondeterminism) as caught:
        scan(flow)
    assert [finding.used for finding in caught.value.findings] == ["time.time", "random.random"]
    assert "random.random" in str(caught.value)


def test_endless_recursion_and_many_functions_end(sources: Sources) -> None:
    many = "\n".join(f"def f{n}():\n    return f{(n + 1) % 900}() or f{(n * 7) % 900}()" for n in range(900))
    module = sources.module("guarded_many", f"{many}\nasync def flow():\n    return f0()\n")
    scan(module.flow)


CLASSES = """
import attrs
import msgspec
import pydantic
import time
from dataclasses import KW_ONLY, dataclass, field
from uuid import UUID, uuid4

@dataclass
class Receipt:
    order: str
    at: float = field(default_factory=time.time)
    note: str = ""
    _: KW_ONLY
    id: str = field(default_factory=lambda: str(uuid4()))

class Label(msgspec.Struct):
    order: str
    id: str = msgspec.field(default_factory=lambda: str(uuid4()))

class Parcel(pydantic.BaseModel):
    order: str
    id: UUID = pydantic.Field(default_factory=uuid4, alias="parcelId")

@attrs.define
class Pickup:
    order: str
    _at: float = attrs.field(factory=time.time)

class Written(msgspec.Struct):
    order: str
    tags: list[str] = []
"""

FILLED = [
    ("Receipt(order, 1.0)", "uuid.uuid4"),
    ("Receipt(order, id='7')", "time.time as the default of Receipt.at"),
    ("Receipt(order, note='', id='7')", "time.time as the default of Receipt.at"),
    ("Label(order)", "uuid.uuid4"),
    ("Parcel(order=order)", "uuid.uuid4 as the default of Parcel.id"),
    ("Pickup(order)", "time.time as the default of Pickup._at"),
]
GIVEN = [
    "Receipt(order, 1.0, id='7')",
    "Receipt(id='7', at=1.0, order=order)",
    "Receipt(*order)",
    "Receipt(**order)",
    "Label(order, '7')",
    "Label(order=order, id='7')",
    "Parcel(order=order, parcelId=None)",
    "Pickup(order, 1.0)",
    "Pickup(order, at=1.0)",
    "Written(order)",
]


@pytest.mark.parametrize(("call", "used"), FILLED)
def test_a_field_that_a_call_leaves_to_a_factory_is_found(sources: Sources, call: str, used: str) -> None:
    flow, _ = sources.workflow(CLASSES, f"return {call}")
    with pytest.raises(Nondeterminism) as caught:
        scan(flow)
    assert caught.value.used == used
    assert len(caught.value.findings) == 1


@pytest.mark.parametrize("call", GIVEN)
def test_a_field_that_a_call_gives_is_no_finding_whatever_its_factory(sources: Sources, call: str) -> None:
    flow, _ = sources.workflow(CLASSES, f"return {call}")
    scan(flow)


def test_what_a_library_has_wrapped_is_followed(sources: Sources) -> None:
    imports = "import contextlib, time\n@contextlib.asynccontextmanager\nasync def timed():\n    yield time.monotonic()"
    flow, _ = sources.workflow(imports, "async with timed() as began: return began")
    with pytest.raises(Nondeterminism) as caught:
        scan(flow)
    assert caught.value.used == "time.monotonic"
