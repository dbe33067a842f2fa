"""Moving needs a real server on one side, so that these tests do not run against every store."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the SQLite journal is to be."""
    return tmp_path / "journal.db"
