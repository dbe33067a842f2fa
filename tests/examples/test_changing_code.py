"""The walk through deploys in the examples does what the documents say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_walk_through_deploys_comes_to_its_end() -> None:
    path = os.pathsep.join(filter(None, [str(EXAMPLES), os.environ.get("PYTHONPATH", "")]))
    walk = subprocess.run(
        [sys.executable, "-m", "changing_code.walk"],
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert walk.returncode == 0, walk.stdout + walk.stderr
    told = walk.stdout
    assert "history has    seq 2: step_completed reserve_goods" in told
    assert "check_fraud: step check_fraud   at" in told
    assert 'Result: ["sent 3 pieces for old"]' in told
    assert 'Result: ["honest: true","sent 5 pieces for new"]' in told.replace("True", "true")
    assert 'Result: ["honest: true","sent 6 pieces for new"]' in told.replace("True", "true")
    assert "forked    from new at seq" in told
