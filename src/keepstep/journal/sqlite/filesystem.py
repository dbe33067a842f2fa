"""The place of a database: does it exist, may it be written, and is it on a disk of this machine?

SQLite's write-ahead log needs memory shared between its processes, which file systems over a network do not give.
"""

from __future__ import annotations

import os
from pathlib import Path

from keepstep.journal.errors import StoreUnavailable

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs"}
)

MOUNTS = Path("/proc/mounts")


def check_place(path: Path, create: bool) -> None:
    """Raises ``StoreUnavailable`` if no database can be opened at this path."""
    try:
        has_folder = path.parent.is_dir()
    except PermissionError as error:
        raise StoreUnavailable(f"{path}: this user may not enter the folders that lead to it") from error
    if not has_folder:
        raise StoreUnavailable(f"{path}: the folder {path.parent} does not exist; create it, or correct the path")
    kind = file_system(path.parent.resolve())
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreUnavailable(
            f"{path} is on a network file system ({kind}), where SQLite cannot keep several processes apart; "
            "move it to a local disk"
        )
    if path.is_dir():
        raise StoreUnavailable(f"{path} is a folder; name a file in it")
    if path.exists():
        _check_file(path)
    elif not create:
        raise StoreUnavailable(
            f"{path} does not exist; correct the path, or start a worker with it, which creates the database"
        )
    if not os.access(path.parent, os.W_OK):
        raise StoreUnavailable(f"{path}: the folder is read-only for this user; SQLite must write beside its database")


def _check_file(path: Path) -> None:
    """May it be written? What is in it, only SQLite can tell, and only SQLite may touch it.

    The header of a database is anything where power failed while it was written; the log beside it has it whole. And
    whoever opens a database file and closes it again drops all locks that SQLite holds on it in the same process, so
    that another process would believe to be alone and remove the log that is still being written to.
    """
    if not os.access(path, os.R_OK | os.W_OK):
        raise StoreUnavailable(f"{path} cannot be written by this user; change its permissions, or name another file")


def file_system(folder: Path) -> str:
    """The type of the file system that holds a folder, or "" where the system does not tell."""
    try:
        mounts = MOUNTS.read_text()
    except OSError:
        return ""
    best, kind = "", ""
    for line in mounts.splitlines():
        _, where, found, *_ = line.split(" ")
        where = where.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if len(where) >= len(best) and folder.is_relative_to(where):
            best, kind = where, found
    return kind
