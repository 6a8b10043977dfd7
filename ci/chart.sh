#!/usr/bin/env bash
# Renders and checks the Helm chart. `ci/install.sh` installs Helm's library and the schemas.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
python=$tools/python/bin/python
"$python" -c 'import helm_python, kubernetes_validate' 2>/dev/null ||
    skip "Helm's library or the schemas of Kubernetes are not installed"
find_memserver
PYTHONDONTWRITEBYTECODE=1 "$python" ci/chart/check.py "$memserver"
