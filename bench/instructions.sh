#!/usr/bin/env bash
# Instructions per operation, counted by callgrind: of the cache in process, of the parsers, and of
# the server from its socket to its reply. Needs valgrind.
#
#     bench/instructions.sh [--base DIR | --against FILE] [--limit PERCENT] [PATTERN...]
#     bench/instructions.sh --record
#
# --base DIR       counts in the checkout DIR as well and prints the change in percent
# --against FILE   prints the change since the counts in FILE were recorded
# --limit PERCENT  with either of them: fails if a case needs more than so much more (default 2)
# --record         writes the counts to bench/instructions.txt
# PATTERN          only cases whose name contains one of these texts
set -euo pipefail
cd "$(dirname "$0")/.."

record=bench/instructions.txt
base='' against='' limit=2 records='' patterns=()
while [ $# -gt 0 ]; do
    case $1 in
        --base) base=$(cd "${2:?--base needs a folder}" && pwd) && shift 2 ;;
        --against) against=${2:?--against needs a file} && shift 2 ;;
        --limit) limit=${2:?--limit needs a number} && shift 2 ;;
        --record) records=yes && shift ;;
        -*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 64 ;;
        *) patterns+=("$1") && shift ;;
    esac
done
if [ -n "$records" ] && [ ${#patterns[@]} -gt 0 ]; then
    echo 'all cases are recorded together' >&2
    exit 64
fi

# A case is run twice; the difference of both counts leaves out what starting it costs.
export few=1000 many=21000

# libc chooses its memcpy and the like by the processor. Without these features it takes the same
# ones everywhere, as the counts are to be.
features=-AVX,-AVX2,-AVX_Fast_Unaligned_Load,-BMI2,-ERMS,-FSRM,-MOVBE,-SSE4_1,-SSE4_2,-SSSE3
export counted_with=glibc.cpu.hwcaps=$features

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
    GLIBC_TUNABLES=$counted_with valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$1" "$2" "$3" 2>&1 >/dev/null | sed -n 's/.*Collected : //p'
}

# per_operation PROGRAM CASE: the case and its count.
per_operation() {
    local all start
    all=$(count "$1" "$2" "$many")
    start=$(count "$1" "$2" "$few")
    if [ -z "$all" ] || [ -z "$start" ]; then
        echo "$1 $2 did not run" >&2
        return 1
    fi
    echo "$2 $(((all - start) / (many - few)))"
}
export -f count per_operation

# is_wanted NAME
is_wanted() {
    local pattern
    [ ${#patterns[@]} -gt 0 ] || return 0
    for pattern in "${patterns[@]}"; do
        [[ $1 != *$pattern* ]] || return 0
    done
    return 1
}

# counts DIR: the wanted cases of a checkout, each with its count, sorted by name. One runs on each
# processor.
counts() {
    local name path cases case
    for name in operations parse; do
        path=$(program "$1" "$name")
        [ -n "$path" ] || continue
        # Not through a pipe, which would hide that it failed.
        cases=$("$path" --list)
        for case in $cases; do
            ! is_wanted "$case" || printf '%s %s\n' "$path" "$case"
        done
    done | xargs -r -P "$(nproc)" -L 1 bash -c 'per_operation "$@"' _ | LC_ALL=C sort
}

# tools: what the counts depend on.
tools() { echo "$(rustc --version), $(getconf GNU_LIBC_VERSION)"; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
counts . >"$scratch/here"
if [ ! -s "$scratch/here" ]; then
    echo 'no such case' >&2
    exit 64
fi
if [ -n "$records" ]; then
    {
        echo '# Instructions per operation, as `bench/instructions.sh --record` counted them with'
        echo "# $(tools)"
        cat "$scratch/here"
    } >"$record"
    echo "$(wc -l <"$scratch/here") cases recorded in $record"
    exit
fi
if [ -n "$base" ]; then
    counts "$base" >"$scratch/before"
elif [ -n "$against" ]; then
    grep -v '^#' "$against" >"$scratch/before"
else
    printf '%-26s %9s\n' instructions here
    awk '{ printf "%-26s %9d\n", $1, $2 }' "$scratch/here"
    exit
fi

# Recorded cases have to be those that there are; a checkout may have others. One instruction more
# is never a change for the worse: it may be rounding.
awk -v limit="$limit" -v recorded="${against:+1}" -v all="$((${#patterns[@]} == 0))" '
    NR == FNR { before[$1] = $2; next }
    FNR == 1 { printf "%-26s %9s %9s %9s\n", "instructions", "before", "here", "change" }
    !($1 in before) {
        printf "%-26s %9s %9d%s\n", $1, "-", $2, recorded ? "  NOT RECORDED" : ""
        failed += recorded
        next
    }
    {
        change = ($2 / before[$1] - 1) * 100
        bad = change > limit && $2 > before[$1] + 1
        printf "%-26s %9d %9d %+8.1f %%%s\n", $1, before[$1], $2, change, bad ? "  WORSE" : ""
        failed += bad
        delete before[$1]
    }
    END {
        if (recorded && all) for (name in before) {
            printf "%-26s %9d %9s  NO SUCH CASE\n", name, before[name], "-"
            failed++
        }
        exit failed > 0
    }' "$scratch/before" "$scratch/here" && exit
echo "a case needs more than $limit % more instructions, or differs from what is recorded" >&2
if [ -n "$against" ]; then
    echo "recorded with: $(sed -n '2s/^# //p' "$against")" >&2
    echo "counted with:  $(tools)" >&2
    echo 'if that is as it should be: bench/instructions.sh --record' >&2
fi
exit 1
