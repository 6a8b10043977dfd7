#!/usr/bin/env bash
# Real clients against the server, over the text and the binary protocol. `ci/install.sh` installs
# them; clients that are missing are reported. $MEMSERVER may name another server to test.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"

find_memserver
rounds=0 bad=0 missing=0
help=$("$memserver" -h)

# What the server is started with besides.
flags=()

# round NAME COMMAND...: runs one client against a server of its own.
round() {
    local name=$1
    shift
    start_server "$name" "$memserver" -m 64 -t 2 -o track_sizes "${flags[@]}"
    rounds=$((rounds + 1))
    if ! MEMSERVER_PORT=$port timeout 120 "$@"; then
        echo "FAIL $name"
        bad=$((bad + 1))
    fi
    stop_server
    [ "$status" -eq 0 ] || fail "the server ended with exit status $status after $name"
}

lacks() {
    echo "SKIPPED: $1 is not installed"
    missing=$((missing + 1))
}

python=$tools/python/bin/python
for client in pymemcache python_memcached pylibmc bmemcached; do
    if [ -x "$python" ]; then
        round "$client" env PYTHONDONTWRITEBYTECODE=1 "$python" "ci/clients/python/${client}_round.py"
    else
        lacks "$client"
    fi
done

# Clients that log in: in text and by SASL on one port, and by SASL alone.
cat >"$scratch/accounts.toml" <<'END'
[users.app]
password = "secret"
rights = ["read", "write", "delete"]
prefix = "app:"
END
printf 'app:secret\n' >"$scratch/users"
chmod 644 "$scratch/accounts.toml" "$scratch/users"
# libmemcached comes without the mechanism PLAIN; the system's is found by this.
plain=$(find /usr/lib -name 'libplain.so*' -print -quit)
login() {
    round "$1" env PYTHONDONTWRITEBYTECODE=1 SASL_PATH="${plain%/*}" "$python" ci/clients/python/login_round.py "${@:2}"
}
if [ -x "$python" ]; then
    flags=(-o "accounts=$scratch/accounts.toml")
    login login-accounts text sasl
    flags=(-S -o "sasl_pwdb=$scratch/users")
    login login-sasl sasl
    flags=()
else
    lacks 'clients that log in'
fi

# Clients over TLS that have certificates, and one whose certificate nobody has signed.
certificate() {
    local name=$1 extra=("${@:2}")
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$name" \
        -keyout "$scratch/$name.key" -out "$scratch/$name.pem" "${extra[@]}" 2>"$scratch/log" ||
        { cat "$scratch/log" && fail "no certificate for $name"; }
}
if [ -x "$python" ] && have openssl && grep -q '^-Z' <<<"$help"; then
    certificate ca
    certificate server -CA "$scratch/ca.pem" -CAkey "$scratch/ca.key" \
        -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1
    certificate client -CA "$scratch/ca.pem" -CAkey "$scratch/ca.key" \
        -addext basicConstraints=critical,CA:FALSE
    certificate stranger
    chmod 644 "$scratch"/*.key
    words=ssl_chain_cert=$scratch/server.pem,ssl_key=$scratch/server.key
    flags=(-Z -o "$words,ssl_ca_cert=$scratch/ca.pem,ssl_verify_mode=2")
    round tls env PYTHONDONTWRITEBYTECODE=1 TLS_FOLDER="$scratch" "$python" ci/clients/python/tls_round.py
    flags=()
else
    lacks 'clients over TLS'
fi

# Metrics, which only memserver has.
if [ -x "$python" ] && grep -q '^--admin-addr' <<<"$help"; then
    start_server metrics "$memserver" -u root -m 64 -t 2 --admin-addr "unix:$scratch/admin"
    rounds=$((rounds + 1))
    if ! MEMSERVER_PORT=$port MEMSERVER_ADMIN=$scratch/admin PYTHONDONTWRITEBYTECODE=1 \
        timeout 120 "$python" ci/clients/python/metrics_round.py; then
        echo "FAIL metrics"
        bad=$((bad + 1))
    fi
    stop_server
    [ "$status" -eq 0 ] || fail "the server ended with exit status $status after metrics"
fi

if have node && [ -d "$tools/node/node_modules/memjs" ]; then
    round memjs env NODE_FOLDER="$tools/node" node ci/clients/node/memjs_round.js
else
    lacks memjs
fi

# libmemcached's conformance suite. Its two text tests of delete expect the replies of memcached
# before 1.6.41. Since then words after the key are ignored, by memserver as well.
capable() {
    local known=$2 flag=$1 output
    output=$(memccapable -h 127.0.0.1 -p "$MEMSERVER_PORT" "$flag" 2>&1) || true
    grep -v '\[pass\]' <<<"$output" || true
    local pass fails
    pass=$(grep -c '\[pass\]' <<<"$output") || true
    fails=$(grep '\[FAIL\]' <<<"$output" | sed 's/ *\[FAIL\]//' | paste -sd ,) || true
    echo "memccapable $flag: $pass checks passed, failed: ${fails:-none} (expected: ${known:-none})"
    [ "$pass" -gt 20 ] && [ "$fails" = "$known" ]
}
export -f capable
if have memccapable; then
    round memccapable-ascii bash -c 'capable -a "ascii delete,ascii delete noreply"'
    round memccapable-binary bash -c 'capable -b ""'
else
    lacks memccapable
fi

if [ -x /usr/share/memcached/scripts/memcached-tool ]; then
    round memcached-tool env PYTHONDONTWRITEBYTECODE=1 \
        python3 ci/clients/python/memcached_tool_round.py
else
    lacks memcached-tool
fi

cargo build --quiet --manifest-path ci/clients/rust/Cargo.toml --target-dir "$tools/rust"
for client in memcache async-memcached; do
    round "$client" "$tools/rust/debug/clients" "$client"
done

echo "clients: $rounds rounds, $bad failed, $missing clients not installed"
[ $bad -eq 0 ]
