"""Does the time stay proportional to the size? Tessera alone, every row at 1, 2, 4 and 8 eighths of the size."""
import re

from report import number

STEPS = (1, 2, 4, 8)
BELOW = 1.15            # linear within 15 %


def table(done):
    """Of lists of (row, results) by step. A row's name may say its size: what it is called without its numbers tells which is which."""
    key = lambda row: re.sub(r"[\d,.]+", "#", row.name)
    times = {}
    for step in STEPS:
        for k, (row, results) in enumerate(done.get(step, [])):
            ours = results.get("tessera")
            if ours and ours.median:
                times.setdefault((k, key(row)), {"name": row.name})[step] = ours.median
    lines = ["| workload | " + " | ".join(f"ms at {s}/8" for s in STEPS) + " | time per cell, largest / smallest size | linear within 15 % |",
             "|---|" + "--:|" * (len(STEPS) + 1) + "---|"]
    for t in times.values():
        if 1 not in t or 8 not in t:
            continue
        grown = t[8] / t[1] / 8
        lines.append(f"| {t['name']} | " + " | ".join(number(t[s] * 1e3) if s in t else "–" for s in STEPS)
                     + f" | {number(grown)} | {'yes' if grown <= BELOW else '**no**'} |")
    return "\n".join(lines)
