"""Does the manual page name all flags and words, and do the shells complete them?"""

import re
import shutil
import subprocess
import sys

memserver, folder = sys.argv[1:]
complaints = []


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def check(condition, what):
    if not condition:
        complaints.append(what)


def names():
    """Flags and words as the help has them, found without the generator's parser."""
    text = run(memserver, "-h").stdout
    flags, words = text.split("\nWords of -o:\n")
    flags = re.findall(r"^(-\w)|(?:^|, )(--[\w-]+)", flags, re.MULTILINE)
    return [a or b for a, b in flags], re.findall(r"^\w+", words, re.MULTILINE)


flags, words = names()
head = run(memserver, "-h").stdout.split("\n-")[0]
commands = re.findall(r"^[a-z][\w-]*(?=  )", head, re.MULTILINE)
check(bool(commands) == ("\nCommands" in head), f"only {commands} were recognised")
check(len(flags) > 50 and len(words) > 40, f"only {flags}, {words} were recognised")

if shutil.which("mandoc"):
    page = f"{folder}/memserver.1"
    lint = run("mandoc", "-T", "lint", "-W", "warning", page).stdout
    check(not lint, f"manual page: {lint}")
    # Bold text is overstruck.
    text = re.sub(r".\x08", "", run("mandoc", "-T", "ascii", "-O", "width=300", page).stdout)
    for name in commands + flags + words:
        check(re.search(rf"(^|[ ,]){re.escape(name)}\b", text, re.MULTILINE), f"manual page: no {name}")
else:
    print("NOT RUN: the manual page, for lack of mandoc")


def completed(*line):
    script = f"""
        . {folder}/memserver.bash
        compopt() {{ :; }}
        COMP_WORDS=({" ".join(f"'{word}'" for word in line)}) COMP_CWORD={len(line) - 1}
        _memserver
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    result = run("bash", "-c", script)
    check(not result.stderr, f"bash: {result.stderr}")
    return result.stdout.split()


check(set(flags) <= set(completed("memserver", "-")), "bash does not complete all flags")
check(set(commands) <= set(completed("memserver", "")), "bash does not complete all commands")
check(completed("memserver", "--memory-l") == ["--memory-limit"], "bash: --memory-l")
check(completed("memserver", "-B", "bi") == ["binary"], "bash: -B bi")
check(completed("memserver", "-m", "") == [], "bash: a number is not completed")
offered = {word.rstrip("=") for word in completed("memserver", "-o", "")}
check(set(words) <= offered, f"bash: -o offers no {set(words) - offered}")
given = completed("memserver", "-o", "track_sizes,idle_t")
check(given == ["track_sizes,idle_timeout="], f"bash: -o track_sizes,idle_t: {given}")

if shutil.which("zsh"):
    result = run("zsh", "-n", f"{folder}/_memserver")
    check(not result.stderr, f"zsh: {result.stderr}")
else:
    print("NOT RUN: zsh is not installed")
if shutil.which("fish"):
    result = run("fish", "-c", f"source {folder}/memserver.fish; complete -C 'memserver --'")
    long = [line.split("\t")[0] for line in result.stdout.splitlines()]
    missing = {flag for flag in flags if flag.startswith("--")} - set(long)
    check(not missing and not result.stderr, f"fish: no {missing}; {result.stderr}")
else:
    print("NOT RUN: fish is not installed")

for complaint in complaints:
    print(f"FAIL {complaint}")
print(f"{len(commands)} commands, {len(flags)} flags and {len(words)} words, {len(complaints)} complaints")
sys.exit(bool(complaints))
