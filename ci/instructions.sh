#!/usr/bin/env bash
# No operation needs more than 3 % more instructions than is recorded in bench/instructions.txt.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"

have valgrind || skip 'valgrind is not installed'
[ "$(uname -m)" = x86_64 ] || skip 'instructions are recorded for x86-64'

# A record that is 5 % lower than the truth has to be noticed.
awk '$1 == "process/get_hit" { $2 = int($2 * 0.95) } 1' bench/instructions.txt >"$scratch/lowered"
if bench/instructions.sh --against "$scratch/lowered" --limit 3 process/get_hit >"$scratch/log" 2>&1
then
    cat "$scratch/log"
    fail 'a case that needs 5 % more instructions was not noticed'
fi
grep -q '^process/get_hit .* WORSE$' "$scratch/log" || { cat "$scratch/log" && fail 'not counted'; }

bench/instructions.sh --against bench/instructions.txt --limit 3
