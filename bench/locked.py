#!/usr/bin/env python3
"""Locked instructions of an operation: what threads can't do at once, counted with one thread.

    bench/locked.py [CASE...]

A locked instruction takes a cache line away from other processors. How many there are, and on
which lines, needs no processors to be known: callgrind counts each instruction of
`target/release/operations`, and objdump tells which are locked (`lock`, `xchg` with memory,
`mfence`). A case runs with few and with many operations; the difference is what the operations
did. Needs valgrind and objdump; x86-64 only.
"""
import collections
import os
import subprocess
import sys
import tempfile

PROGRAM = "target/release/operations"
CASES = ["process/get_hit", "process/get_miss", "process/set", "process/set_evicting",
         "process/incr"]
FEW, MANY = 500, 2500
# Where valgrind loads a program that can lie anywhere.
BASE = 0x108000
# Instructions that are rarer than this are left out of the list.
RARE = 0.01


def locked():
    """The addresses of locked instructions; each with its function and text."""
    command = ["objdump", "-dC", "--no-show-raw-insn", PROGRAM]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, function = {}, ""
    for line in text.splitlines():
        if line.endswith(">:"):
            function = line.split("<", 1)[1][:-2]
            continue
        address, _, instruction = line.partition(":\t")
        words = instruction.split()
        if words and (words[0] in ("lock", "mfence") or words[0] == "xchg" and "(" in instruction):
            found[int(address, 16)] = (function, instruction.strip())
    return found


def executed(case, operations):
    """How often each instruction ran."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "callgrind.out")
        command = ["valgrind", "--tool=callgrind", "--dump-instr=yes",
                   f"--callgrind-out-file={path}", PROGRAM, case, str(operations)]
        subprocess.run(command, capture_output=True, check=True)
        counts, address, is_call = collections.Counter(), 0, False
        for line in open(path, encoding="utf-8"):
            if line.startswith("calls="):
                is_call = True
            if line[0] not in "0123456789+-*":
                continue
            word, *numbers = line.split()
            if word[0] in "+-":
                address += int(word, 0)
            elif word != "*":
                address = int(word, 0)
            # The line behind a call has the cost of what was called.
            if not is_call:
                counts[address] += int(numbers[1])
            is_call = False
        return counts


def main():
    places = locked()
    for case in sys.argv[1:] or CASES:
        counts = executed(case, MANY)
        counts.subtract(executed(case, FEW))
        base = max((0, BASE), key=lambda base: sum(counts[at + base] > 0 for at in places))
        each = {at: counts[at + base] / (MANY - FEW) for at in places}
        print(f"{case}: {sum(each.values()):.2f} locked instructions")
        for at in sorted(places, key=lambda at: -each[at]):
            if each[at] >= RARE:
                function, instruction = places[at]
                print(f"    {each[at]:.2f}  {instruction:<42}{function}")


main()
