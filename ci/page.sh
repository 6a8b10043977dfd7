#!/usr/bin/env bash
# Looks at the status page of a real server with Debian's Chromium.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
have chromium || skip "chromium is not installed"
find_memserver
PYTHONDONTWRITEBYTECODE=1 timeout --kill-after=5 60 python3 ci/page/check.py "$memserver" chromium
