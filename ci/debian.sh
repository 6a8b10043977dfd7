#!/usr/bin/env bash
# The Debian package, installed and removed in a bare chroot; the unit's security score and the
# system calls that it has to allow; the manual page and the completions.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
have cargo-deb || skip 'cargo-deb is not installed'
find_memserver
pages=target/packaging

echo '-- manual page and completions'
python3 packaging/documents/make.py "$memserver" $pages
PYTHONDONTWRITEBYTECODE=1 python3 ci/debian/documents.py "$memserver" $pages

echo '-- unit'
unit=packaging/systemd/memserver.service
if have systemd-analyze; then
    # The program and its manual are not installed on this machine.
    sed "s#/usr/bin/memserver#$memserver#; /^Documentation=/d" $unit >"$scratch/memserver.service"
    systemd-analyze verify "$scratch/memserver.service" || fail 'systemd refuses the unit'
    score=$(systemd-analyze security --offline=true --no-pager --threshold=15 $unit |
        tee "$scratch/score" | sed -n 's/.*exposure level.*: \([0-9.]*\) .*/\1/p') ||
        { cat "$scratch/score" && fail 'the unit is exposed more than 1.5'; }
    echo "exposure level $score"
    if have strace; then
        python3 ci/debian/calls.py "$memserver" $unit
    else
        echo 'NOT RUN: system calls, for lack of strace'
    fi
else
    echo 'NOT RUN: the unit, for lack of systemd-analyze'
fi

echo '-- package'
cargo-deb --quiet --no-build --fast -p memserver --output "$scratch/memserver.deb"
dpkg-deb --info "$scratch/memserver.deb" | sed -n '/Package:/,$p'
have mmdebstrap || skip 'mmdebstrap is not installed; the package was not installed anywhere'
[ "$(id -u)" = 0 ] || skip 'a chroot needs root; the package was not installed anywhere'
chroot=$scratch/chroot
mmdebstrap --quiet --variant=apt --include=systemd-standalone-sysusers "$(. /etc/os-release && echo "$VERSION_CODENAME")" \
    "$chroot" >"$scratch/log" 2>&1 || { cat "$scratch/log" && skip 'there is no chroot'; }
cp "$scratch/memserver.deb" "$chroot/tmp"
chroot "$chroot" dpkg --install /tmp/memserver.deb
for file in usr/bin/memserver lib/systemd/system/memserver.service usr/lib/sysusers.d/memserver.conf \
    etc/default/memserver usr/share/man/man1/memserver.1.gz \
    usr/share/bash-completion/completions/memserver; do
    [ -f "$chroot/$file" ] || fail "the package has no /$file"
done

# The flags of the service, as its user.
. "$chroot/etc/default/memserver"
# shellcheck disable=SC2086
chroot --userspec=memserver:memserver "$chroot" \
    env MEMCACHED_PORT_FILENAME=/tmp/port memserver $OPTIONS -p -1 &
pids+=("$!")
for _ in $(seq 50); do
    port=$(sed -n 's/^TCP INET: //p' "$chroot/tmp/port" 2>/dev/null | head -n 1) || true
    [ -z "$port" ] || break
    sleep 0.1
done
[ "$(printf 'version\r\n' | nc -N 127.0.0.1 "$port")" = $'VERSION 1.6.45\r' ] ||
    fail 'the installed server does not answer'
kill "${pids[-1]}" && wait "${pids[-1]}" || fail 'the installed server did not end with status 0'
chroot "$chroot" dpkg --purge memserver
[ ! -e "$chroot/etc/default/memserver" ] || fail 'purge leaves /etc/default/memserver'
echo 'installed, answered, purged'
