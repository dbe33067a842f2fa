"""What a type checker says of sync programs, and that what it reads stands for what is there."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import sync

ROOT = Path(__file__).resolve().parents[2]
STUB = ROOT / "src" / "keepstep" / "sync.pyi"


def defined_in_stub() -> dict[str, ast.stmt]:
    """What the stub says of each public name, the last of several overloads."""
    found: dict[str, ast.stmt] = {}
    for each in ast.parse(STUB.read_text()).body:
        if isinstance(each, ast.FunctionDef | ast.ClassDef):
            found[each.name] = each
        elif isinstance(each, ast.ImportFrom):
            found.update({name.asname: each for name in each.names if name.asname and name.asname == name.name})
    return {name: each for name, each in found.items() if not name.startswith("_")}


def test_the_stub_names_what_the_module_has() -> None:
    names = set(vars(sync)["__all__"])
    assert set(defined_in_stub()) == names
    functions = {name for name in keepstep.__all__ if not isinstance(getattr(keepstep, name), type)}
    assert functions <= names
    assert all(getattr(sync, name) is getattr(keepstep, name) for name in names & set(keepstep.__all__))


def parameters_in_stub(stub: ast.FunctionDef) -> set[str]:
    every = [*stub.args.posonlyargs, *stub.args.args, *stub.args.kwonlyargs]
    return {each.arg for each in every} - {"self"}


def overloads_of(name: str, within: list[ast.stmt]) -> list[ast.FunctionDef]:
    return [each for each in within if isinstance(each, ast.FunctionDef) and each.name == name]


@pytest.mark.parametrize("name", ["step", "workflow", "receive", "sleep", "wait_for", "human_task", "start_child"])
def test_the_stub_takes_the_parameters_that_the_function_takes(name: str) -> None:
    real: Any = inspect.signature(getattr(keepstep, name)).parameters.values()
    options = {each.name for each in real if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}
    told = set().union(*map(parameters_in_stub, overloads_of(name, ast.parse(STUB.read_text()).body)))
    if name == "step":  # which takes them as **options, and reads them by their names
        options, told = options | {"transaction"}, told & (options | {"transaction"})
    assert told == options


@pytest.mark.parametrize("name", ["Step", "Saga", "Callback", "OtherRun", "ChildHandle"])
def test_methods_in_the_stub_take_the_parameters_that_the_methods_take(name: str) -> None:
    stub = defined_in_stub()[name]
    assert isinstance(stub, ast.ClassDef)
    methods = {each.name for each in stub.body if isinstance(each, ast.FunctionDef)} - {"__exit__", "__enter__"}
    assert methods
    for method in methods:
        real: Any = inspect.signature(getattr(getattr(keepstep, name), method)).parameters.values()
        options = {each.name for each in real if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)} - {"self"}
        told = set().union(*map(parameters_in_stub, overloads_of(method, stub.body)))
        assert told == options, method


RIGHT = """
from typing import assert_type
import keepstep
from keepstep import Engine, RunHandle, sync

@keepstep.workflow
class InAsync:
    async def run(self, n: int) -> str: return str(n)

@keepstep.workflow
class InSync:
    def run(self, n: int) -> str: return str(n)
    @sync.update
    def add(self, n: int) -> float: return n / 2

@keepstep.workflow
def plain(n: int) -> str: return ""

@sync.workflow
def leaf(n: int) -> str: return ""

@sync.workflow(timeout="1h")
def with_options(n: int) -> str: return ""

@sync.step
def halve(n: int) -> float: return n / 2

@sync.step(timeout=3)
async def halve_in_async(n: int) -> float: return n / 2

@sync.step(transaction=True)
def halve_there(db: keepstep.Connection, n: int) -> float: return n / 2

@keepstep.step
async def of_async_programs(n: int) -> float: return n / 2

def helper(n: int) -> bytes: return b""

@sync.workflow
def everything(n: int) -> str:
    assert_type(leaf(1), str)
    assert_type(with_options(1), str)
    assert_type(halve(1), float)
    assert_type(halve_in_async(1), float)
    assert_type(halve_there(1), float)
    assert_type(halve.options(key="a")(1), float)
    assert_type(halve.start(1).result(timeout=3), float)
    assert_type(of_async_programs.start(1).result(), float)
    with sync.saga() as saga, sync.timeout("3s"):
        assert_type(saga.run(halve, 1, undo=halve), float)
        assert_type(saga.run(of_async_programs, 1, undo=halve), float)
    assert_type(sync.sleep(1), None)
    assert_type(sync.receive("x", int), int)
    assert_type(sync.callback().result(int), int)
    assert_type(sync.human_task("x", int), int)
    assert_type(sync.start_child(leaf, 1).result(), str)
    assert_type(sync.start_child(InSync, 1).result(), str)
    assert_type(sync.start_child(InAsync, 1).result(), str)
    assert_type(sync.gather(halve.start(1), halve.start(2)), list[float])
    assert_type(sync.start(helper, 1).result(), bytes)
    assert_type(sync.get_run("x").signal("y"), None)
    return ""

@keepstep.workflow
async def in_async(n: int) -> None:
    assert_type(await plain(n), str)
    assert_type(await halve.start(n), float)
    assert_type(await keepstep.sleep(1), None)

async def outside(engine: Engine) -> None:
    assert_type(await engine.start(InAsync, 1), RunHandle[str])
    assert_type(await engine.start(InSync, 1), RunHandle[str])
    assert_type(await engine.start(plain, 1, id="x"), RunHandle[str])
    assert_type(await engine.start(leaf, 1, id="x"), RunHandle[str])
    assert_type(await engine.run(InSync, 1), str)
    assert_type(await engine.run(everything, 1), str)
    assert_type(await (await engine.start(InSync, 1)).update(InSync.add, 1), float)
"""

WRONG = """
from keepstep import sync

@sync.step
def halve(n: int) -> float: return n / 2

@sync.workflow
def leaf(n: int) -> str: return ""

@sync.workflow
def mistaken(n: int) -> str:
    a: str = halve(1)
    halve("x")
    leaf()
    b: int = sync.receive("x", str)
    sync.start(leaf, "x")
    with sync.saga() as saga:
        c: str = saga.run(halve, 1, undo=halve)
    return halve.start(1).result()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all programs, so that mypy reads Keepstep once."""
    return tmp_path_factory.mktemp("programs")


def errors_of(source: str, folder: Path) -> tuple[list[int], str]:
    """The lines that mypy --strict finds fault with."""
    file = folder / "program.py"
    file.write_text(source)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(folder), str(file)]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env={"MYPYPATH": str(ROOT / "src")}
    )
    assert not ran.stderr, ran.stderr
    lines = [line for line in ran.stdout.splitlines() if ": error: " in line]
    return [int(line.split(":")[1]) for line in lines], ran.stdout


def test_a_sync_program_is_typed_without_a_cast(folder: Path) -> None:
    lines, told = errors_of(RIGHT, folder)
    assert not lines, told


def test_mistakes_in_a_sync_program_are_found(folder: Path) -> None:
    lines, told = errors_of(WRONG, folder)
    source = WRONG.splitlines()
    wrong = [number for number, line in enumerate(source, 1) if line.startswith("    ") and "with" not in line]
    assert lines == wrong, told
