"""On SQLite a flow looks at no more than it tells of, however many runs there are before and behind its window."""

from __future__ import annotations

from pathlib import Path
from sqlite3 import connect

from keepstep.journal import Status
from keepstep.journal.flow import Window
from keepstep.journal.sqlite import open_sqlite
from keepstep.journal.sqlite.flow import read_flow
from tests.journal.scene import ManualClock

RUNS = 20_000
FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :runs)
INSERT INTO runs (run, run_id, namespace, workflow_id, language, format, type, queue, status, condition, epoch,
    claimed_seq, strikes, bumps, started_at, closed_at, input_digest, detail, status_text)
SELECT i, 'r' || i, 'default', 'w' || i, 'python', 1, 't', 'q', 1, 0, 1, 0, 0, 0, i * 1000, i * 1000 + 500, x'', x'', ''
FROM n
"""


async def test_only_the_window_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await (await open_sqlite(path, clock=ManualClock())).close()
    db = connect(path)
    db.execute(FILL, {"runs": RUNS})
    looked = 0

    def count() -> int:
        nonlocal looked
        looked += 1
        return 0

    db.set_progress_handler(count, 100)
    last = read_flow(db, "default", Window((RUNS - 40) * 1000, 10_000, 4))
    db.set_progress_handler(None, 0)
    db.close()
    assert [stretch.started.counted for stretch in last] == [10, 10, 10, 10]
    assert [stretch.ended[Status.COMPLETED].count.counted for stretch in last] == [10, 10, 10, 10]
    assert looked * 100 < RUNS / 2  # instructions; a walk through all runs takes several for each
