#!/usr/bin/env bash
# Instructions per operation, counted by callgrind: of the cache in process, of the parsers, and of
# the server from its socket to its reply. Counts repeat on any machine to about one percent.
# Needs valgrind.
#
#     bench/instructions.sh [--base DIR] [--limit PERCENT] [PATTERN...]
#
# --base DIR       counts in the checkout DIR as well and prints the change in percent
# --limit PERCENT  with --base: fails if a case needs more than so much more (default 2)
# PATTERN          only cases whose name contains one of these texts
set -euo pipefail
cd "$(dirname "$0")/.."

base='' limit=2 patterns=()
while [ $# -gt 0 ]; do
    case $1 in
        --base) base=$(cd "${2:?--base needs a folder}" && pwd) && shift 2 ;;
        --limit) limit=${2:?--limit needs a number} && shift 2 ;;
        -*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 64 ;;
        *) patterns+=("$1") && shift ;;
    esac
done

# A case is run twice; the difference of both counts leaves out what starting it costs.
few=1000 many=21000

# executable NAME: its path, from cargo's messages.
executable() { sed -n "s/.*\"name\":\"$1\".*\"executable\":\"\([^\"]*\)\".*/\1/p"; }

# program DIR NAME: builds a program that has cases and prints its path, or nothing if the checkout
# does not have it.
program() {
    local command
    case $2 in
        operations)
            [ -d "$1/bench/src/bin/operations" ] || return 0
            command=(build --release -p bench --bin operations)
            ;;
        parse)
            [ -e "$1/memproto/benches/parse.rs" ] || return 0
            command=(bench -p memproto --bench parse --no-run)
            ;;
    esac
    (cd "$1" && cargo "${command[@]}" --quiet --message-format=json) | executable "$2"
}

# count PROGRAM CASE OPERATIONS
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" "$2" "$3" 2>&1 >/dev/null |
        sed -n 's/.*Collected : //p'
}

# per_operation PROGRAM CASE
per_operation() {
    local all start
    all=$(count "$1" "$2" $many)
    start=$(count "$1" "$2" $few)
    if [ -z "$all" ] || [ -z "$start" ]; then
        echo "$1 $2 did not run" >&2
        return 1
    fi
    echo $(((all - start) / (many - few)))
}

# is_wanted NAME
is_wanted() {
    local pattern
    [ ${#patterns[@]} -gt 0 ] || return 0
    for pattern in "${patterns[@]}"; do
        [[ $1 != *$pattern* ]] || return 0
    done
    return 1
}

# has PROGRAM CASE
has() {
    local cases=''
    # Not through a pipe: a match would end it before all names are written.
    [ -z "$1" ] || cases=$("$1" --list)
    grep -qxF "$2" <<<"$cases"
}

worse=0 seen=0
if [ -n "$base" ]; then
    printf '%-26s %9s %9s %9s\n' 'instructions' base here change
else
    printf '%-26s %9s\n' 'instructions' here
fi
for name in operations parse; do
    here=$(program . "$name")
    there=''
    [ -z "$base" ] || there=$(program "$base" "$name")
    for case in $("$here" --list); do
        is_wanted "$case" || continue
        seen=$((seen + 1))
        now=$(per_operation "$here" "$case")
        if [ -z "$base" ]; then
            printf '%-26s %9d\n' "$case" "$now"
        elif ! has "$there" "$case"; then
            printf '%-26s %9s %9d\n' "$case" - "$now"
        else
            before=$(per_operation "$there" "$case")
            # One instruction more is never a change for the worse: it may be rounding.
            awk -v name="$case" -v before="$before" -v now="$now" -v limit="$limit" 'BEGIN {
                change = (now / before - 1) * 100
                bad = change > limit && now > before + 1
                mark = bad ? "  WORSE" : ""
                printf "%-26s %9d %9d %+8.1f %%%s\n", name, before, now, change, mark
                exit bad
            }' || worse=$((worse + 1))
        fi
    done
done
if [ $seen -eq 0 ]; then
    echo 'no such case' >&2
    exit 64
fi
if [ $worse -gt 0 ]; then
    echo "$worse of $seen cases need more than $limit % more instructions" >&2
    exit 1
fi
