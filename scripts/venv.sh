#!/usr/bin/env bash
# Makes the virtual environment FOLDER and installs into it, from nothing but a Python >= 3.11.
# Usage: scripts/venv.sh FOLDER WHAT_PIP_INSTALLS...
set -euo pipefail
folder=$1
shift

usable() {  # a Python may be on the path as a shim that points nowhere, or lack what venv needs
    "$1" -c 'import ensurepip, sqlite3, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local name
    for name in ${PYTHON:-} python3.13 python3.12 python3.11 python3.14 python3 python; do
        if usable "$name"; then echo "$name"; return; fi
    done
    echo "keepstep: no Python >= 3.11 with venv and sqlite3 was found on the path." >&2
    echo "          Install one (on Debian: apt-get install python3.11-venv), or name it: make PYTHON=/path/to/python3" >&2
    return 1
}

if ! usable "$folder/bin/python" || ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "keepstep: creating the virtual environment $folder with $("$python" --version)"
    rm -rf "$folder"
    "$python" -m venv "$folder"
fi
echo "keepstep: installing ${*: -1} into $folder (once; later runs skip this)"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
