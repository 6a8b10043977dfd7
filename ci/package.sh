#!/usr/bin/env bash
# The crates as a registry would get them: what is in them, and that the libraries are built from what is
# packaged.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"

# contents CRATE: has what its user needs, and nothing that only the workspace can use.
contents() {
    local file
    cargo package --quiet --allow-dirty --list -p "$1" >"$scratch/$1"
    for file in Cargo.toml README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT src/lib.rs; do
        grep -qx "$file" "$scratch/$1" || fail "the package of $1 lacks $file"
    done
    if grep -vE '^(src|tests)/|^[A-Z][^/]*$|^\.cargo_vcs_info\.json$' "$scratch/$1"; then
        fail "the package of $1 has more than sources, tests and documents"
    fi
    for file in CHANGELOG.md LICENSE-APACHE LICENSE-MIT; do
        cmp "$file" "$1/$file" || fail "$1/$file is not that of the workspace"
    done
    echo "$1: $(grep -c '^src/' "$scratch/$1") sources, $(grep -c '^tests/' "$scratch/$1") files of tests," \
        "$(grep -vE '^(src|tests)/' "$scratch/$1" | tr '\n' ' ')"
}
for crate in memcore memproto memsys memserver; do
    contents "$crate"
done

cargo package --quiet --allow-dirty --target-dir "$tools/package" -p memcore
cargo package --quiet --allow-dirty --target-dir "$tools/package" -p memproto
cargo package --quiet --allow-dirty --target-dir "$tools/package" --no-verify \
    --workspace --exclude bench --exclude examples

# Without features memcore pulls in ten crates: guide.md says so.
names=$(cargo tree --quiet -p memcore --edges normal,build --prefix none --no-dedupe |
    sed 's/ v[0-9].*//; /^memcore$/d' | sort -u)
[ "$(wc -l <<<"$names")" -eq 10 ] || { echo "$names" && fail 'memcore pulls in another number of crates'; }
echo "memcore pulls in ten crates: $(tr '\n' ' ' <<<"$names")"
