"""Guardian: no server outlives the process that it was made for, however that ends.

A shell waits beside the server for its owner to be gone. It then kills the server whose data lie in the folder, and
nobody else's: the number in ``postmaster.pid`` is believed only while the process of that number names the folder.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

_SCRIPT = """
while kill -0 "$1" 2>/dev/null && [ -d "$2" ]; do sleep 1; done
for file in "$2"/*/postmaster.pid; do
    [ -f "$file" ] || continue
    pid=$(head -n 1 "$file")
    case $(ps -o args= -p "$pid" 2>/dev/null) in *"$2"*) kill -QUIT "$pid"; esac
done
[ -d "$2" ] && sleep 1
rm -rf "$2"
"""


def guard(owner_pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """Watch over all servers whose data folders lie in ``folder`` until the process ``owner_pid`` is gone."""
    return subprocess.Popen(
        ["sh", "-c", _SCRIPT, "keepstep-postgres-guardian", str(owner_pid), str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,  # Ctrl-C at a terminal ends the owner, and by that the server, in this order
    )
