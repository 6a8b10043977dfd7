#!/usr/bin/env bash
# Three servers behind twemproxy, pymemcache's HashClient and libmemcached's ketama: one is killed,
# requests go on, it comes back and is used again. `ci/install.sh` installs proxy and clients.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
python=$tools/python/bin/python
"$python" -c 'import pymemcache, pylibmc' 2>/dev/null || skip 'the Python clients are not installed'
have nutcracker || skip 'nutcracker is not installed'
find_memserver
PYTHONDONTWRITEBYTECODE=1 timeout 120 "$python" ci/cluster/check.py "$memserver" "$scratch"
