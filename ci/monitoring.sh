#!/usr/bin/env bash
# Checks that a real server answers what the dashboard and the alert rules ask.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
python=$tools/python/bin/python
"$python" -c 'import yaml' 2>/dev/null || skip "Python's YAML is not installed"
find_memserver
PYTHONDONTWRITEBYTECODE=1 "$python" ci/monitoring/check.py "$memserver"
# Debian's package prometheus has it.
if have promtool; then
    promtool check rules packaging/monitoring/alerts.yml
    promtool check config packaging/monitoring/prometheus.yml
fi
