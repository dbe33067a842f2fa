"""A pooler in front of a server gives each transaction another session, and lets in whom the server would."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from keepstep.testing.postgres import Access, NoPooler, find_pooler, why_no_pooler


def test_each_transaction_has_another_session(pooler: Access, postgres_url: str) -> None:
    url = pooler.url_of(postgres_url.rpartition("/")[2])
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as other:
        with one.transaction(), other.transaction():
            pids = {db.execute("SELECT pg_backend_pid()").fetchone() for db in (one, other)}
        assert len(pids) == 2
        seen = {one.execute("SELECT pg_backend_pid()").fetchone() for _ in range(4)}
        assert seen == pids


def test_it_asks_for_the_servers_password(pooler: Access) -> None:
    with pytest.raises(psycopg.OperationalError, match="auth"):
        psycopg.connect(pooler.url.replace(pooler.password, "guessed"))


def test_where_there_is_none_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("keepstep.testing.postgres.pooler._SYSTEM", str(tmp_path / "missing"))
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PGBOUNCER", raising=False)
    assert "apt-get install pgbouncer" in (why_no_pooler() or "")


def test_a_program_that_is_named_is_taken_and_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "pgbouncer"
    monkeypatch.setenv("PGBOUNCER", str(program))
    with pytest.raises(NoPooler, match="is no program"):
        find_pooler()
    program.touch()
    assert find_pooler() == program
