"""What is said about the results: the Markdown table, the chart (SVG), and the README's section of measured results.

The chart is written from the table's numbers as text: a bar a workload, best peer's time over Tessera's, on a logarithmic axis."""
import math
import os

ORDER = ["tessera", "numpy", "numexpr", "dask", "xarray", "duckdb", "blosc2", "zarr", "tiledb", "h5py", "postgres", "plain"]
NAMES = dict(zip(ORDER, ["Tessera", "NumPy", "NumExpr", "Dask", "xarray", "DuckDB", "Blosc2", "Zarr (+Dask)", "TileDB", "HDF5 (h5py)",
                         "PostgreSQL", "plain call"]))


def number(x):
    """Three digits that count."""
    if x is None:
        return "–"
    digits = max(0, 2 - math.floor(math.log10(x))) if x > 0 else 0
    return f"{x:,.{min(digits, 4)}f}"


def took(result):
    """Milliseconds (~: of one run only), or why there are none; – where a side does not take part."""
    if result is None:
        return "–"
    if result.failure:
        return result.failure.split(":")[0]
    return ("~" if len(result.seconds) == 1 else "") + number(result.median * 1e3)


def best_peer(results):
    times = {who: r.median for who, r in results.items() if who not in ("tessera", "plain") and not r.failure and r.median}
    return min(times, key=times.get) if times else None


def ratio(results):
    ours, best = results.get("tessera"), best_peer(results)
    return results[best].median / ours.median if best and ours and ours.median and not ours.failure else None


def fraction(row, results, limits):
    """Of the machine's limit: the time at that limit, or of the plain call in the same turns, over the time taken."""
    ours, plain = results.get("tessera"), results.get("plain")
    if plain and plain.median and ours and ours.median and not ours.failure:
        return plain.median / ours.median
    if not row.limit or not ours or not ours.median or row.limit[0] not in limits:
        return None
    return row.limit[1] / (limits[row.limit[0]] * 1e9) / ours.median


def verdict(row, results, limits):
    r, f = ratio(results), fraction(row, results, limits)
    if r is None:
        return "–"
    return "yes" if r >= row.goal and (row.wanted is None or f is None or f >= row.wanted) else "**no**"


def table(done, limits):
    """Of the sides that took part in any of the rows."""
    sides = [w for w in ORDER if any(w in results for _, results in done)]
    lines = ["| workload | " + " | ".join(NAMES[s] for s in sides) + " | best peer / Tessera | goal | fraction of limit | wanted | reached |",
             "|---|" + "--:|" * (len(sides) + 4) + "---|"]
    for row, results in done:
        f, limit = fraction(row, results, limits), row.limit[0] if row.limit else "the plain call"
        lines.append(f"| {row.name} | " + " | ".join(took(results.get(s)) for s in sides)
                     + f" | {number(ratio(results))} | {row.goal:g} | {f'{f:.2f} of {limit}' if f else '–'} | {row.wanted or '–'} | "
                     f"{verdict(row, results, limits)} |")
    return "\n".join(lines)


def resources(done):
    """Memory, processor time and bytes read by each side."""
    mb = lambda b: f"{b / 1e6:,.0f}"
    lines = ["| workload | side | processor time, ms | peak memory, MB | read from files, MB | from disk, MB |", "|---|---|--:|--:|--:|--:|"]
    for row, results in done:
        for who in ORDER:
            r = results.get(who)
            if r and r.seconds:
                lines.append(f"| {row.name} | {NAMES[who]} | {r.cpu_s * 1e3:.0f} | {mb(r.peak_bytes)} | {mb(r.file_bytes)} | {mb(r.disk_bytes)} |")
    return "\n".join(lines)


def chart(done):
    """Bars to the right of 1: Tessera is faster; a tick is the goal."""
    rows = [(row, ratio(results)) for row, results in done if ratio(results)]
    left, width, high, lo, hi = 330, 560, 18, -1.5, 3.0
    place = lambda r: left + width * (min(max(math.log10(r), lo), hi) - lo) / (hi - lo)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 80}" height="{high * len(rows) + 60}" '
           'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>',
           f'<text x="{left}" y="14">time of the best peer / time of Tessera (a black tick: the goal)</text>']
    for power in (-1, 0, 1, 2, 3):
        x = place(10.0 ** power)
        out.append(f'<path d="M{x:.1f} 22V{high * len(rows) + 34}" stroke="{"#000" if power == 0 else "#ddd"}"/>'
                   f'<text x="{x:.1f}" y="{high * len(rows) + 48}" text-anchor="middle">{10.0 ** power:g}</text>')
    for k, (row, r) in enumerate(rows):
        y, a, b = 26 + high * k, place(1), place(r)
        text = row.name.replace("&", "&amp;").replace("<", "&lt;")
        out.append(f'<text x="{left - 6}" y="{y + 11}" text-anchor="end">{text}</text>'
                   f'<rect x="{min(a, b):.1f}" y="{y}" width="{abs(b - a):.1f}" height="{high - 5}" fill="{"#2a7" if r >= row.goal else "#c63"}"/>'
                   f'<path d="M{place(row.goal):.1f} {y - 1}v{high - 3}" stroke="#000" stroke-width="2"/>'
                   f'<text x="{max(a, b) + 4:.1f}" y="{y + 11}">{number(r)}</text>')
    return "\n".join(out + ["</svg>", ""])


def rewrite(path, text):
    """Puts text between the marks of a file."""
    begin, end = "<!-- bench -->", "<!-- /bench -->"
    with open(path) as f:
        whole = f.read()
    head, rest = whole.split(begin)
    with open(path, "w") as f:
        f.write(head + begin + "\n" + text + "\n" + end + rest.split(end)[1])


def below(done, limits):
    """The rows that do not reach their goal."""
    return "Below their goal: " + "; ".join(f"{row.name} ({number(ratio(results))} of {row.goal:g})" for row, results in done
                                            if verdict(row, results, limits) == "**no**") + "."


def write(dir, intro, done, limits, growth=""):
    """report.md and chart.svg."""
    said = ["# Tessera beside its peers", intro, "![](chart.svg)", table(done, limits), below(done, limits)]
    notes = [f"- {row.name}: {row.note}" for row, _ in done if row.note]
    notes += [f"- {row.name}, {NAMES[who]}: {r.failure or r.said}" for row, results in done for who, r in results.items()
              if r.failure or r.said]
    said += ["\n".join(notes), growth, "## Memory and bytes read", resources(done)]
    with open(os.path.join(dir, "report.md"), "w") as f:
        f.write("\n\n".join(s for s in said if s) + "\n")
    with open(os.path.join(dir, "chart.svg"), "w") as f:
        f.write(chart(done))
