"""A file from before runs could be searched by their attributes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from keepstep.journal.sqlite import open_sqlite, opening
from keepstep.journal.sqlite.opening import migrations
from tests.journal.scene import START
from tests.journal.test_search import found


async def test_a_file_of_version_3_finds_runs_by_the_attributes_that_they_have(tmp_path: Path) -> None:
    """The first value gives the type; what does not fit it is shown, and not found."""
    database = tmp_path / "journal.db"
    old = sqlite3.connect(database)
    for number, text in enumerate(migrations()[:3], 1):
        old.executescript(f"{text}; PRAGMA user_version = {number}; PRAGMA application_id = {opening.APPLICATION_ID};")
    odd = {"a": "text", "d": {"x": 1}, "e": [1], "long": "x" * 2001, "": 1}
    for n, attributes in enumerate(
        ({"a": 1, "b": ["x", "y", "x"], "p": True, "Status": "y"}, odd, {"c": "\0"}, {"a": 2.5})
    ):
        old.execute(
            "INSERT INTO runs (run, run_id, namespace, workflow_id, language, format, type, queue, status, condition, "
            "epoch, claimed_seq, strikes, bumps, started_at, closed_at, input_digest, detail, status_text, attributes) "
            "VALUES (?, ?, 'default', ?, 'python', 1, 'fulfil', 'q', 0, 0, 1, 0, 0, 0, ?, 0, x'', x'', '', ?)",
            (n + 1, f"r{n}", f"w{n}", START + n, json.dumps(attributes)),
        )
    old.commit()
    old.close()
    journal = await open_sqlite(database)
    assert {each.name: each.type.value for each in await journal.list_attributes("default")} == {
        "a": "double", "b": "keyword_list", "p": "bool",
    }  # fmt: skip
    assert await found(journal, "a > 0") == ["w3", "w0"]
    assert await found(journal, "b = 'y' AND p = TRUE AND Status = 'running'") == ["w0"]
    await journal.close()
