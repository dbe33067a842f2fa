"""What ``keepstep doctor`` finds out about a PostgreSQL server: settings that lose data or room, and its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from keepstep.journal import StoreUnavailable

from .finding import Finding
from .table import span

CONNECTIONS_SHARE_MAX = 0.9
IDLE_SECONDS_MAX = 600
SKEW_SECONDS_MAX = 1.0

FACTS = """
SELECT current_setting('server_version'), current_setting('full_page_writes'), current_setting('autovacuum'),
       current_setting('synchronous_commit'), current_setting('max_connections')::int,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       (SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%'
        AND datname = current_database() AND now() - state_change > make_interval(secs => %(idle)s)),
       EXTRACT(EPOCH FROM clock_timestamp())::float8
"""


def is_postgres(url: str) -> bool:
    """Whether a URL names a database of a PostgreSQL server."""
    return url.startswith(("postgresql:", "postgres:"))


def look_at_postgres(url: str) -> list[Finding]:
    """Findings about a server that has a journal. Raises ``StoreUnavailable`` where it cannot be asked."""
    import psycopg

    from keepstep.journal.postgres.address import parse_address

    try:
        with psycopg.connect(parse_address(url).conninfo, autocommit=True) as db:
            asked = time.time()
            row = db.execute(FACTS, {"idle": IDLE_SECONDS_MAX}).fetchone()
            assert row is not None
            return list(judge(row, (asked + time.time()) / 2))
    except psycopg.Error as error:
        raise StoreUnavailable(f"the server's settings cannot be asked for: {error}") from error


def judge(row: tuple[Any, ...], now: float) -> Iterator[Finding]:
    """What the server's answer means; ``now``: seconds, by the clock of this machine when it was asked."""
    version, page_writes, autovacuum, sync, connections_max, connections, idle, its_time = row
    yield Finding("ok", f"PostgreSQL {version}, {connections} of {connections_max} connections in use")
    if page_writes == "off":
        what = "full_page_writes is off: a power cut may leave torn pages"
        yield Finding("problem", what, "set full_page_writes = on, unless the file system never tears pages")
    if autovacuum == "off":
        what = "autovacuum is off: tables grow, and queries become slow"
        yield Finding("problem", what, "set autovacuum = on, and VACUUM ANALYZE once")
    if sync not in ("on", "remote_apply"):
        what = f"synchronous_commit is {sync} by default; Keepstep sets it to on for itself"
        yield Finding("ok", what, "your own transactions that start runs need it, too: ALTER ROLE … SET")
    if connections > connections_max * CONNECTIONS_SHARE_MAX:
        yield Finding("warning", "nearly all of its connections are in use", "raise max_connections, or use a pooler")
    if idle:
        what = (
            f"{idle} session{' has' if idle == 1 else 's have'} been idle in a transaction for {span(IDLE_SECONDS_MAX)}"
        )
        do = "it holds back vacuum and what live readers are told; end it: SELECT pg_terminate_backend(pid)"
        yield Finding("warning", what, do)
    if abs(skew := its_time - now) > SKEW_SECONDS_MAX:
        what = f"its clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
        yield Finding("warning", what, "have both follow the same time servers; waits keep their length")
