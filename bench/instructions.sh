#!/usr/bin/env bash
# Instructions per request of every case of a crate's bench, or of those that are named: what
# callgrind counts in 11,000 rounds less what it counts in 1,000, so that starting the program
# does not count. Needs valgrind.
#
#     bench/instructions.sh memproto parse [CASE...]
#     bench/instructions.sh memserver requests [CASE...]
set -euo pipefail
cd "$(dirname "$0")/.."
crate=${1:?crate} bench=${2:?bench}
shift 2
program=$(cargo bench -p "$crate" --bench "$bench" --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
[ $# -gt 0 ] || mapfile -t cases < <("$program" | cut -d ' ' -f 1)
[ $# -eq 0 ] || cases=("$@")

# count CASE ROUNDS
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : //p'
}

for case in "${cases[@]}"; do
    printf '%-20s %5d instructions\n' "$case" \
        $((($(count "$case" 11000) - $(count "$case" 1000)) / 10000))
done
