"""What pytest does with the kit, in sessions of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testing.kit.inner import run_pytest

BOTH_KINDS = """
async def test_async(keepstep_engine, keepstep_time, mock_step):
    charge = mock_step(kit_charge, returns="mocked")
    run = await keepstep_engine.start(kit_order, 7)
    await keepstep_time.advance("29d")
    assert (await run.describe()).status == "running"
    assert await run.result() == "mocked"
    assert charge.arguments == [{"order": 7, "currency": "eur"}]

def test_sync(keepstep_blocking_engine, keepstep_blocking_time, keepstep_blocking_crash):
    run = keepstep_blocking_engine.start(kit_order, 7)
    keepstep_blocking_time.advance("29d")
    keepstep_blocking_crash()
    assert run.describe().status == "running"
    assert run.result() == "receipt 7"
    assert EFFECTS[-2:] == ["charged 7 eur", "mailed receipt 7"]

class TestMethods:
    async def test_method(self, keepstep_engine, keepstep_crash):
        run = await keepstep_engine.start(kit_order, 7)
        await keepstep_crash()
        assert await run.result() == "receipt 7"
"""

PLUGINS: list[tuple[str, ...]] = [
    (),
    ("-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
    ("-p", "anyio.pytest_plugin"),
]


@pytest.mark.parametrize("plugins", PLUGINS, ids=["alone", "asyncio", "anyio"])
def test_async_and_sync_tests_run_in_virtual_time(tmp_path: Path, plugins: tuple[str, ...]) -> None:
    code, said = run_pytest(tmp_path, BOTH_KINDS, *plugins)
    assert code == 0, said
    assert "3 passed" in said


def test_a_test_of_the_wrong_kind_is_told_what_to_take(tmp_path: Path) -> None:
    source = """
    async def test_async(keepstep_blocking_engine): pass
    def test_sync(keepstep_engine): pass
    """
    code, said = run_pytest(tmp_path, source)
    assert code == 1
    assert "test_async is async, and takes keepstep_blocking_engine; let it take keepstep_engine" in said
    assert "test_sync is a plain def, and takes keepstep_engine; let it take keepstep_blocking_engine" in said


def test_the_mark_keepstep_makes_the_engine_and_can_forbid_real_steps(tmp_path: Path) -> None:
    source = """
    @pytest.mark.keepstep(mocked_only=True)
    async def test_forbidden(keepstep_engine):
        await (await keepstep_engine.start(kit_order, 7)).result()

    @step(queue="kit-gpu")
    async def render() -> str:
        return "picture"

    @workflow
    async def draw() -> str:
        return await render()

    async def test_all_queues_are_served(keepstep_engine):
        assert await (await keepstep_engine.start(draw)).result() == "picture"

    @pytest.mark.keepstep(queues=("default",), namespace="elsewhere")
    async def test_only_some_queues(keepstep_engine, keepstep_time):
        run = await keepstep_engine.start(draw)
        await keepstep_time.advance("1d")
        assert keepstep_engine.namespace == "elsewhere"
        assert (await run.describe()).status == "running"
    """
    code, said = run_pytest(tmp_path, source)
    assert code == 1
    assert "1 failed, 2 passed" in said
    assert "step 'kit_charge' is not mocked, and the test is marked keepstep(mocked_only=True)" in said


CHAOTIC = """
ENTERED = []

@pytest.fixture(scope="module")
def house():
    ENTERED.append("house")
    yield
    ENTERED.append("house left")

@pytest.fixture
def room(house):
    ENTERED.append("room")
    EFFECTS.clear()
    yield
    ENTERED.append("room left")

@pytest.mark.keepstep_chaos
async def test_holds(keepstep_engine, room):
    run = await keepstep_engine.start(kit_order, 7)
    assert await run.result() == "receipt 7"
    assert set(EFFECTS) == {"charged 7 eur", "mailed receipt 7"}

@pytest.mark.keepstep_chaos
def test_holds_too(keepstep_blocking_engine, room):
    assert keepstep_blocking_engine.run(kit_order, 7) == "receipt 7"

def test_each_run_had_its_room_and_all_shared_the_house():
    rooms = ENTERED.count("room")
    assert rooms == ENTERED.count("room left") > 2 * (1 + 2 * 5)
    assert ENTERED[0] == "house" and ENTERED.count("house") == 1 and "house left" not in ENTERED

class TestAlone:
    @pytest.mark.keepstep_chaos
    async def test_breaks(self, keepstep_engine, room):
        run = await keepstep_engine.start(kit_order, 7)
        await run.result()
        assert EFFECTS.count("mailed receipt 7") == 1

def test_the_class_was_left():
    assert ENTERED[-1] == "room left"
"""


def test_chaos_repeats_a_test_with_fresh_fixtures_and_names_the_crash_that_breaks_it(tmp_path: Path) -> None:
    code, said = run_pytest(tmp_path, CHAOTIC)
    assert code == 1, said
    assert "1 failed, 4 passed" in said
    assert "the test failed when the worker was killed before commit" in said
    assert "which writes step_completed kit_mail" in said
    [line] = [line for line in said.splitlines() if line.startswith("run just that: pytest ")]
    nodeid, _, crash = line.removeprefix("run just that: pytest ").partition(" --keepstep-crash ")
    assert nodeid == "'test_inner.py::TestAlone::test_breaks'"

    code, said = run_pytest(tmp_path, CHAOTIC, nodeid.strip("'"), "--keepstep-crash", crash)
    assert (code, line in said) == (1, True), said
    code, said = run_pytest(tmp_path, CHAOTIC, nodeid.strip("'"), "--keepstep-crash", "1-before")
    assert code == 0, said


def test_chaos_that_cannot_be_is_a_failure_that_says_why(tmp_path: Path) -> None:
    source = """
    @pytest.mark.keepstep_chaos
    async def test_no_commit(keepstep_engine): pass

    @pytest.mark.keepstep_chaos
    def test_no_engine(): pass

    @pytest.mark.keepstep_chaos(crashes_max=2)
    async def test_too_many(keepstep_engine):
        await (await keepstep_engine.start(kit_order, 7)).result()
    """
    code, said = run_pytest(tmp_path, source)
    assert (code, "3 failed" in said) == (1, True), said
    assert "the worker made no commit in this test" in said
    assert "keepstep_chaos needs an engine to crash" in said
    assert "@pytest.mark.keepstep_chaos(crashes_max=" in said
    code, said = run_pytest(tmp_path, source, "-k", "no_commit", "--keepstep-crash", "5-after")
    assert (code, "the crash 5-after did not happen: the test made 0 commits this time" in said) == (1, True), said
    code, said = run_pytest(tmp_path, source, "--keepstep-crash", "soon")
    assert (code, "written as 7-before or 7-after" in said) == (4, True), said


def test_a_session_without_workflows_does_not_import_keepstep(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(
        "import sys\ndef test_it():\n    assert 'pytest_keepstep' in sys.modules and 'keepstep' not in sys.modules\n"
    )
    code, said = run_pytest(tmp_path, "", "test_plain.py")
    assert code == 0, said
