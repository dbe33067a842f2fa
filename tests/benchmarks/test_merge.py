"""Rows that are measured alone find their places in the page, say so, and leave the others as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.merge import UnlikePage, merge
from benchmarks.report import Part, markdown
from benchmarks.row import POSTGRES_ROWS, SQLITE_ROWS, Results, System
from benchmarks.scale import FULL, FULL_POSTGRES

SQLITE = Part("SQLite", SQLITE_ROWS, (System.DBOS,), FULL)
POSTGRES = Part("PostgreSQL", POSTGRES_ROWS, (System.DBOS, System.ABSURD), FULL_POSTGRES)


@pytest.fixture
def page() -> str:
    results = Results()
    for key, value in (("w1.steps", 20_000), ("w4.disk", 740), ("w7.orders", 2_000), ("pg.w1.steps", 9_000)):
        results.add(System.KEEPSTEP, key, value)
    results.note(System.KEEPSTEP, "w7.orders", "from a file")
    results.note(System.DBOS, "w4.disk", "at 10")
    return markdown(results, [SQLITE, POSTGRES], {"commit": "0000000"})


def alone() -> Results:
    results = Results()
    results.add(System.KEEPSTEP, "w4.disk", 700)
    results.add(System.DBOS, "w4.disk", 1_400)
    results.add(System.KEEPSTEP, "w16.page_p50", 90)
    results.note(System.DBOS, "w4.disk", "at 1,000")
    return results


def test_what_was_measured_replaces_its_row_or_takes_its_place_and_says_when(page: str) -> None:
    before, after = page.splitlines(), merge(page, alone(), [SQLITE, POSTGRES], "1234567", "2026-12-01").splitlines()
    new = [line for line in after if line not in before]
    assert [line.split(" | ")[0] for line in new] == ["| W4", "| W16", "- W4, dbos: at 1,000"]
    assert "| 700 |" in new[0]
    assert "| 1,400 | 2 |" in new[0]
    assert new[0].endswith("| holds (alone, 1234567, 2026-12-01) |")
    assert new[1].endswith("| falls short (alone, 1234567, 2026-12-01) |")
    gone = [line for line in before if line not in after]
    assert [line.split(" | ")[0] for line in gone] == ["| W4", "- W4, dbos: at 10"]
    order = [line.split(" | ")[0] for line in after if line.startswith("| W")]
    assert order[:5] == ["| W1", "| W4", "| W16", "| W7", "| W1"]
    assert after.index("- W4, dbos: at 1,000") == after.index("- W7, keepstep: from a file") + 1


def test_a_page_without_notes_gets_its_first_one_below_the_tables(page: str) -> None:
    bare = "\n".join(line for line in page.splitlines() if not line.startswith("- ")) + "\n"
    after = merge(bare, alone(), [SQLITE, POSTGRES], "1234567", "2026-12-01").splitlines()
    at = after.index("- W4, dbos: at 1,000")
    assert after[at - 1] == ""
    assert after[at - 2].startswith("| W1")


def test_a_page_with_other_columns_is_left_alone(page: str) -> None:
    with pytest.raises(UnlikePage, match="write the page anew"):
        merge(page, alone(), [replace(SQLITE, peers=())], "1234567", "2026-12-01")
