#!/bin/sh
# ci/build.sh FOLDER [TARGET]: builds the static binary of a release, with FEATURES instead of the
# default ones if that is set. The same sources, compiler and
# linker give the same bytes in every folder and for every user. If `cargo auditable` is installed,
# the binary contains the list of what it is made of.
set -eu
folder=$1 target=${2:-$(rustc -vV | sed -n 's/^host: //p')}
sources=$(pwd -P)
cargo fetch --locked --quiet --target "$target"

# Panics name the file of the code that fails; its folder must not matter.
flags="-C target-feature=+crt-static -C strip=symbols --remap-path-prefix=$sources=/memserver"
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags="$flags --remap-path-prefix=$registry=/registry"
done
commit=$(rustc -vV | sed -n 's/^commit-hash: //p')
flags="$flags --remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$commit"

build='cargo build'
if cargo auditable --version >/dev/null 2>&1; then
    build='cargo auditable build'
else
    echo 'build.sh: without the list of contents, for lack of cargo-auditable'
fi
# --target keeps the flags away from procedural macros, which can't be linked statically.
# Words, or none.
# shellcheck disable=SC2086
RUSTFLAGS=$flags $build --quiet --locked --release -p memserver --bin memserver --target "$target" \
    ${FEATURES:+--no-default-features --features "$FEATURES"} \
    --target-dir "$folder"
echo "$folder/$target/release/memserver"
