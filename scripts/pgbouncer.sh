#!/usr/bin/env bash
# Unpacks Debian's PgBouncer, with the libraries of its own that it needs, into FOLDER: nothing is installed, no service
# is started, and no right is needed but for bringing apt's lists up to date. Where it cannot be had that is said, and is
# no failure: the tests that want it are skipped then, and say why.
# Usage: scripts/pgbouncer.sh FOLDER
set -uo pipefail
folder=$1
patience=(-o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)

give_up() {
    echo "keepstep: no PgBouncer is to be had here ($1); its tests will be skipped"
    exit 0
}

wanted() {  # the package, and which of its libraries systems do not have anyway
    echo pgbouncer
    apt-cache depends pgbouncer | sed -n 's/^ *|\?Depends: \(lib\(event\|c-ares\|cares\)[^ ]*\)$/\1/p'
}

if command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || [ -x "$folder/usr/sbin/pgbouncer" ]; then exit 0; fi
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || give_up "there is no apt"
echo "keepstep: fetching PgBouncer for its tests (once; later runs skip this)"
room=$(mktemp -d) && chmod 777 "$room"  # apt fetches as somebody else
trap 'rm -rf "$room"' EXIT
cd "$room" || give_up "no folder can be made"
if ! apt-get "${patience[@]}" -qq download $(wanted) 2>/dev/null; then
    [ "$(id -u)" = 0 ] && apt-get "${patience[@]}" -qq update >/dev/null 2>&1
    apt-get "${patience[@]}" -qq download $(wanted) 2>/dev/null || give_up "apt does not find it"
fi
cd "$OLDPWD" || exit 0
rm -rf "$folder.new"
for package in "$room"/*.deb; do
    dpkg-deb -x "$package" "$folder.new" || give_up "its package cannot be unpacked"
done
rm -rf "$folder" && mv "$folder.new" "$folder"
