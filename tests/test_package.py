"""What a user gets by installing and importing the package."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
IMPORT_MILLISECONDS_MAX = 150
OPTIONAL = {
    "starlette",
    "uvicorn",
    "httpx2",
    "pydantic",
    "attrs",
    "rich",
    "click",
    "greenlet",
    "cryptography",
    "obstore",
}

# Processor time, not wall time: the same on a quiet machine, and not disturbed by the tests that run beside this one.
_IMPORT = """
import json, sys, time
began = time.process_time()
import keepstep
took = (time.process_time() - began) * 1000
print(json.dumps({"milliseconds": took, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def import_in_a_fresh_process(bytecode: Path) -> dict[str, object]:
    """What importing took and loaded, with compiled modules kept in a folder, as an installation has them."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(bytecode)}
    ran = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True, env=environment)
    answer: dict[str, object] = json.loads(ran.stdout)
    return answer


def test_importing_keepstep_takes_less_than_150_milliseconds(tmp_path: Path) -> None:
    import_in_a_fresh_process(tmp_path)
    took = [float(str(import_in_a_fresh_process(tmp_path)["milliseconds"])) for _ in range(7)]
    assert statistics.median(took) < IMPORT_MILLISECONDS_MAX


def test_importing_keepstep_loads_no_optional_part(tmp_path: Path) -> None:
    modules = import_in_a_fresh_process(tmp_path)["modules"]
    assert isinstance(modules, list)
    assert OPTIONAL.isdisjoint(modules)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_says_that_the_package_is_typed(wheel: zipfile.ZipFile) -> None:
    assert "keepstep/py.typed" in wheel.namelist()


def test_the_wheel_carries_every_file_of_the_example(wheel: zipfile.ZipFile) -> None:
    example = ROOT / "examples" / "order_fulfilment"
    files = [path for path in example.rglob("*") if path.is_file() and path.suffix in {".py", ".csv", ".md"}]
    assert files
    packed = set(wheel.namelist())
    assert not [p for p in files if f"keepstep/examples/order_fulfilment/{p.relative_to(example)}" not in packed]


def test_the_wheel_holds_nothing_but_keepstep_its_door_for_pytest_and_its_metadata(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert tops == {"keepstep", "pytest_keepstep.py", "keepstep-0.1.0.dist-info"}


def test_pytest_finds_the_testing_kit_by_itself(wheel: zipfile.ZipFile) -> None:
    entries = wheel.read("keepstep-0.1.0.dist-info/entry_points.txt").decode()
    assert "[pytest11]\nkeepstep = pytest_keepstep" in entries


def test_the_wheel_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_the_wheel_carries_every_migration_and_statement_beside_its_code(wheel: zipfile.ZipFile) -> None:
    sources = ROOT / "src" / "keepstep"
    files = [path for path in sources.rglob("*") if path.is_file() and path.suffix in {".py", ".sql"}]
    packed = set(wheel.namelist())
    assert not [path for path in files if f"keepstep/{path.relative_to(sources)}" not in packed]


def test_the_wheel_carries_the_web_ui_and_the_licences_of_what_is_in_it(wheel: zipfile.ZipFile) -> None:
    packed = [name.removeprefix("keepstep/server/static/") for name in wheel.namelist() if "/static/" in name]
    assert {"index.html", "icon.svg", "licenses.md"} <= set(packed)
    assert {Path(name).suffix for name in packed if name.startswith("assets/")} == {".js", ".css"}
    assert "svelte" in wheel.read("keepstep/server/static/licenses.md").decode()
