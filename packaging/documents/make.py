#!/usr/bin/env python3
"""make.py MEMSERVER FOLDER: writes the manual page and the completions for shells, made of what
`memserver -h` prints, so that they always name the flags of that program."""

import re
import subprocess
import sys
from datetime import datetime, timezone
from os import environ
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
# What a shell can complete values of flags with.
FILES = {"FILE", "PATH"}
CHOICES = {"-B": ["auto", "ascii", "binary"]}


class Flag(NamedTuple):
    short: str
    long: str
    value: str
    about: str


class Command(NamedTuple):
    name: str
    about: str


class Word(NamedTuple):
    name: str
    value: str
    about: str


def rows(text):
    """The pairs of name and meaning; a meaning goes on in the lines below, behind blanks."""
    found = []
    for line in text.splitlines():
        if line.startswith(" ") and found:
            found[-1][1] += " " + line.strip()
        elif line.strip():
            name, _, about = line.partition("  ")
            if not about:
                name, _, about = line.partition(" ")
            found.append([name.strip(), about.strip()])
    return found


def flag(name, about):
    match = re.fullmatch(r"(-\w)(?: ([A-Z]+))?|(?:(-\w), )?(--[\w-]+)(?:[= ]([A-Z:]+))?", name)
    if not match:
        sys.exit(f"make.py: can't tell what {name!r} of the help is")
    bare, bare_value, short, long, value = match.groups()
    return Flag(bare or short or "", long or "", bare_value or value or "", about)


def word(name, about):
    match = re.fullmatch(r"(\w+)(\[?=.*)?", name)
    if not match:
        sys.exit(f"make.py: can't tell what {name!r} of the help is")
    return Word(match[1], match[2] or "", about)


def help_of(memserver):
    """The first line, and the commands, flags and words below their headings."""
    text = subprocess.run([memserver, "-h"], check=True, capture_output=True, text=True).stdout
    first, rest = text.split("\n", 1)
    parts = {"Flags": []}
    part = parts["Flags"]
    for line in rest.splitlines():
        if heading := re.fullmatch(r"([A-Z][a-z]+)\b.*:", line):
            part = parts.setdefault(heading[1], [])
        else:
            part.append(line)
    found = {name: rows("\n".join(lines)) for name, lines in parts.items()}
    commands = [Command(*row) for row in found.pop("Commands", [])]
    flags = [flag(*row) for row in found.pop("Flags")]
    words = [word(*row) for row in found.pop("Words")]
    if found:
        sys.exit(f"make.py: the help has headings that are not known: {list(found)}")
    return first, commands, flags, words


def roff(text):
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")


def manual(version, commands, flags, words):
    def described(heads, about):
        return f".TP\n{heads}\n{roff(about)}"

    def heads(flag):
        value = f" \\fI{flag.value}\\fR" if flag.value else ""
        names = [f"\\fB{roff(name)}\\fR{value}" for name in (flag.short, flag.long) if name]
        return ", ".join(names)

    parts = {
        "DATE": datetime.fromtimestamp(
            int(environ.get("SOURCE_DATE_EPOCH", 0)), timezone.utc
        ).strftime("%Y-%m-%d"),
        "VERSION": version.split(" (")[0],
        "COMMANDS": "\n".join(
            [".SH COMMANDS", "Instead of flags; the flags of each are shown by its", ".BR \\-\\-help ."]
            + [described(f"\\fB{roff(command.name)}\\fR", command.about) for command in commands]
        ) if commands else ".\\\" no commands",
        "FLAGS": "\n".join(described(heads(flag), flag.about) for flag in flags),
        "WORDS": "\n".join(
            described(f"\\fB{roff(word.name)}\\fR{roff(word.value)}", word.about) for word in words
        ),
    }
    text = (HERE / "memserver.1.in").read_text()
    return re.sub(r"@(\w+)@", lambda name: parts[name[1]], text)


def bash(commands, flags, words):
    first = " ".join(command.name for command in commands)
    names = " ".join(name for flag in flags for name in (flag.short, flag.long) if name)
    after = []
    for flag in flags:
        mine = "|".join(name for name in (flag.short, flag.long) if name)
        if flag.value in FILES:
            after.append(f"    {mine}) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\") ;;")
        elif flag.short in CHOICES:
            choices = " ".join(CHOICES[flag.short])
            after.append(f"    {mine}) mapfile -t COMPREPLY < <(compgen -W '{choices}' -- \"$word\") ;;")
        elif flag.short == "-o":
            list_of = " ".join(word.name + ("=" if word.value.startswith("=") else "") for word in words)
            after.append(
                f"    {mine})\n"
                "        compopt -o nospace\n"
                "        local before=\n"
                "        case $word in *,*) before=${word%,*}, ;; esac\n"
                f"        mapfile -t COMPREPLY < <(compgen -P \"$before\" -W '{list_of}' -- \"${{word##*,}}\")\n"
                "        ;;"
            )
        elif flag.value:
            after.append(f"    {mine}) ;;")
    return "\n".join([
        "# Completion of memserver's flags for bash.",
        "_memserver() {",
        "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}",
        "    COMPREPLY=()",
        "    if [ $COMP_CWORD -eq 1 ] && [[ $word != -* ]]; then",
        f"        mapfile -t COMPREPLY < <(compgen -W '{first}' -- \"$word\")",
        "        return",
        "    fi",
        "    case $previous in",
        *after,
        f"    *) mapfile -t COMPREPLY < <(compgen -W '{names}' -- \"$word\") ;;",
        "    esac",
        "}",
        "complete -F _memserver memserver",
        "",
    ])


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def zsh(commands, flags, words):
    def about(text):
        return re.sub(r"([\[\]:\\])", r"\\\1", text)

    def action(flag):
        if flag.value in FILES:
            return ":file:_files"
        if flag.short in CHOICES:
            return f":name:({' '.join(CHOICES[flag.short])})"
        if flag.short == "-o":
            return ":words:_sequence compadd - " + " ".join(word.name for word in words)
        return f":{flag.value.lower()}: " if flag.value else ""

    lines = []
    for flag in flags:
        for name in (flag.short, flag.long):
            sign = "" if not flag.value else "+" if len(name) == 2 else "="
            if name:
                lines.append("    " + quoted(f"*{name}{sign}[{about(flag.about)}]{action(flag)}"))
    if commands:
        lines.append("    " + quoted(f"::command:({' '.join(command.name for command in commands)})"))
    return "#compdef memserver\n_arguments -s \\\n" + " \\\n".join(lines) + "\n"


def fish(commands, flags, words):
    lines = ["# Completion of memserver's flags for fish.", "complete -c memserver -f"]
    for command in commands:
        about = quoted(command.about)
        lines.append(
            f"complete -c memserver -n __fish_use_subcommand -a {command.name} -d {about}"
        )
    for flag in flags:
        short = f" -s {flag.short[1:]}" if flag.short else ""
        long = f" -l {flag.long[2:]}" if flag.long else ""
        takes = ""
        if flag.value in FILES:
            takes = " -r -F"
        elif flag.short in CHOICES:
            takes = f" -x -a {quoted(' '.join(CHOICES[flag.short]))}"
        elif flag.short == "-o":
            takes = f" -x -a {quoted(' '.join(word.name for word in words))}"
        elif flag.value:
            takes = " -x"
        about = flag.about.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"complete -c memserver{short}{long}{takes} -d '{about}'")
    return "\n".join(lines) + "\n"


def main():
    memserver, folder = sys.argv[1], Path(sys.argv[2])
    version, *parts = help_of(memserver)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memserver.1").write_text(manual(version, *parts))
    (folder / "memserver.bash").write_text(bash(*parts))
    (folder / "_memserver").write_text(zsh(*parts))
    (folder / "memserver.fish").write_text(fish(*parts))


main()
