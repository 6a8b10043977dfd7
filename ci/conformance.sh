#!/usr/bin/env bash
# Plays the transcripts on Debian's memcached, except those that depend on its version, to prove
# that the expected replies are right. Then sends the same random streams to both servers, for at
# most a minute.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
reference=${MEMCACHED_REFERENCE:-$(command -v memcached || true)}
[ -n "$reference" ] || skip 'memcached is not installed'
MEMCACHED_REFERENCE=$reference cargo test -p memserver --test conformance
case $reference in
*/*)
    export DIFFERENTIAL_STREAMS=${DIFFERENTIAL_STREAMS:-1500}
    export DIFFERENTIAL_SECONDS=${DIFFERENTIAL_SECONDS:-60}
    MEMCACHED_REFERENCE=$reference cargo test -p memserver --test differential reference -- \
        --nocapture
    ;;
esac
