#!/usr/bin/env python3
"""Draws the charts of docs/benchmarks.md into docs/plots, from the figures that are recorded.

    bench/plot.py [CHART...]

The figures are in the tables of README.md and docs/eviction.md and in bench/instructions.txt; next
to each table is the command that measures it. Needs nothing but Python.
"""
import re
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLOURS = ["#3366cc", "#dc3912", "#999999", "#109618", "#ff9900"]
LEFT, TOP, ROW, GAP, RIGHT = 270, 62, 15, 10, 70
WIDTH = 760


def chart(title, unit, names, groups):
    """Horizontal bars: `groups` has pairs of a label and a number for each name, or None."""
    most = max(number for _, numbers in groups for number in numbers if number is not None)
    height = TOP + len(groups) * (ROW * len(names) + GAP) + 8
    scale = (WIDTH - LEFT - RIGHT) / most
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
           'font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
           f'<text x="12" y="22" font-size="16">{escape(title)}</text>']
    at = LEFT
    for name, colour in zip(names, COLOURS):
        out.append(f'<rect x="{at}" y="36" width="12" height="12" fill="{colour}"/>')
        out.append(f'<text x="{at + 17}" y="46">{escape(name)}</text>')
        at += 40 + 7 * len(name)
    out.append(f'<text x="{WIDTH - 12}" y="46" text-anchor="end" fill="#555555">'
               f'{escape(unit)}</text>')
    y = TOP
    for label, numbers in groups:
        middle = y + ROW * len(names) / 2 + 4
        out.append(f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">'
                   f'{escape(label)}</text>')
        for number, colour in zip(numbers, COLOURS):
            if number is not None:
                wide = number * scale
                out.append(f'<rect x="{LEFT}" y="{y + 1}" width="{wide:.1f}" height="{ROW - 3}" '
                           f'fill="{colour}"/>')
                out.append(f'<text x="{LEFT + wide + 5:.0f}" y="{y + 11}" font-size="11">'
                           f'{number:.3g}</text>')
            y += ROW
        y += GAP
    return "\n".join(out + ["</svg>", ""])


def rows_of(document, header):
    """Cells of the table that begins with this line, without what tells code from text."""
    lines = (ROOT / document).read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(header)) + 2
    for line in lines[first:]:
        if not line.startswith("|"):
            return
        yield [cell.strip().replace("`", "") for cell in line.split("|")[1:-1]]


def number(text):
    found = re.match(r"[0-9][0-9,]*\.?[0-9]*", text)
    return float(found[0].replace(",", "")) if found else None


def processor():
    """Server processor time, beside memcached's and the floor's."""
    groups = []
    for load, ours, floor in rows_of("README.md", "| load | against memcached |"):
        ours, floor = number(ours), number(floor)
        groups.append((load.split(" (")[0], [ours, 1.0, ours / floor if floor else None]))
    return chart("Server processor time per key", "memcached = 1; less is better",
                 ["memserver", "memcached", "floor"], groups)


def items():
    """Items that fit, beside memcached's."""
    sizes, groups = None, []
    limit = ""
    for name, *cells in rows_of("README.md", "| value, bytes |"):
        if name.startswith("-m"):
            limit = name.split(",")[0]
        else:
            groups.append((limit, [number(cell) for cell in cells]))
    sizes = [10, 100, 1000, 10_000]
    groups = [(f"{limit}, values of {size} bytes", [times[i], 1.0])
              for limit, times in groups for i, size in enumerate(sizes)]
    return chart("Items within the same limit, by the size of values",
                 "memcached = 1; more is better", ["memserver", "memcached"], groups)


def inprocess():
    """Time of an operation in process, beside other caches'."""
    groups = [(row[0], [1.0, 1 / number(row[3]), 1 / number(row[4])]) for row in
              rows_of("README.md", "| operation | threads |") if row[1] == "1"]
    return chart("Time per operation in process, one thread", "memcore = 1; less is better",
                 ["memcore", "quick_cache", "moka"], groups)


def hits():
    """Hits on traces, beside LRU's and Belady's."""
    groups = [(row[0], [number(row[1]), number(row[4]), number(row[5])]) for row in
              rows_of("docs/eviction.md", "| trace, budget |")]
    return chart("Hit ratio on traces, by the budget in per cent of the working set", "",
                 ["LRU at memcached's cost", "memcore", "Belady"], groups)


def servers():
    """Hits on traces over the wire, beside memcached's."""
    groups = []
    for trace, *cells in rows_of("README.md", "| trace | 1 %: memserver, memcached |"):
        for budget, cell in zip([1, 10, 30], cells):
            pair = [number(part.strip()) for part in cell.split(",")]
            groups.append((f"{trace} {budget} %", pair))
    return chart("Hit ratio on traces over the wire", "", ["memserver", "memcached"], groups)


def instructions():
    """The recorded counts of the protocols, a group for each operation."""
    names = ["text", "meta", "binary", "in process"]
    lines = (ROOT / "bench/instructions.txt").read_text().splitlines()
    words = [line.split() for line in lines if not line.startswith("#")]
    count = {case: int(number) for case, number in words}
    pick = lambda *cases: [count.get(case) if case else None for case in cases]
    groups = [
        ("get, hit", pick("text/get_hit", "meta/mg_v", "binary/get_hit", "process/get_hit")),
        ("get, miss", pick("text/get_miss", "meta/mg_miss", "binary/get_miss", "process/get_miss")),
        ("get of many, per key", pick("text/get_50_keys", None, None, "process/get_many_16")),
        ("set", pick("text/set", "meta/ms", "binary/set", "process/set")),
        ("set that evicts", pick("text/set_evicting", "meta/ms_evicting", "binary/set_evicting",
                                 "process/set_evicting")),
        ("increment", pick("text/incr", "meta/ma", "binary/incr", "process/incr")),
    ]
    return chart("Instructions per operation, without the kernel", "instructions", names, groups)


CHARTS = {chart.__name__: chart for chart in
          [processor, items, inprocess, hits, servers, instructions]}


def main():
    names = sys.argv[1:] or list(CHARTS)
    if not set(names) <= set(CHARTS):
        sys.exit(__doc__ + f"\nCharts: {' '.join(CHARTS)}")
    for name in names:
        (ROOT / "docs/plots" / f"{name}.svg").write_text(CHARTS[name]())


main()
