#!/usr/bin/env bash
# The transcripts against Debian's memcached, as far as they do not depend on its version: so the
# expectations are proven, not only met. Then the same random streams to both servers, a minute at most.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
reference=${MEMCACHED_REFERENCE:-$(command -v memcached || true)}
[ -n "$reference" ] || skip 'there is no memcached to compare with'
MEMCACHED_REFERENCE=$reference cargo test -p memserver --test conformance
case $reference in
*/*)
    export DIFFERENTIAL_STREAMS=${DIFFERENTIAL_STREAMS:-1500}
    export DIFFERENTIAL_SECONDS=${DIFFERENTIAL_SECONDS:-60}
    MEMCACHED_REFERENCE=$reference cargo test -p memserver --test differential reference -- \
        --nocapture
    ;;
esac
