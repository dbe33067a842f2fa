#!/usr/bin/env bash
# Sees to it that a Chromium is there for the tests of the web UI: the one on the path, or else Debian's, which only root
# can install. Where it cannot be had that is said, and is no failure: the tests that want it are skipped then, and say so.
# Usage: scripts/chromium.sh
set -uo pipefail
patience=(-o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)

give_up() {
    echo "keepstep: no Chromium is to be had here ($1); the tests of the web UI in a browser will be skipped"
    exit 0
}

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
command -v apt-get >/dev/null || give_up "there is no apt"
[ "$(id -u)" = 0 ] || give_up "only root can install it: apt-get install chromium"
echo "keepstep: installing Chromium for the tests of the web UI (once; later runs skip this)"
install=(env DEBIAN_FRONTEND=noninteractive apt-get "${patience[@]}" -qq -y install --no-install-recommends chromium)
if ! "${install[@]}" >/dev/null 2>&1; then
    apt-get "${patience[@]}" -qq update >/dev/null 2>&1
    "${install[@]}" >/dev/null 2>&1 || give_up "apt does not find it"
fi
