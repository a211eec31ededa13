"""A plot of what clients saw of one move: the latency of every call, the phases behind it."""

import json
import math
import statistics
import time

from moves import PAIRS, seconds_of

WIDTH, HEIGHT = 960, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 48
LATENCY_MS = (0.1, 1000)
TINTS = {
    "preparing": "#e8eef7", "copying": "#d9e8d5", "catching up": "#f6ecc9", "ready": "#e6dcf0",
    "switching": "#f3c6c0", "settled": "#dfe6ea", "cleaning": "#eeeeee",
}  # fmt: skip
COLOURS = {"w": "#b03a2e", "r": "#1f618d"}


def x_of(seconds, span):
    return LEFT + (WIDTH - LEFT - RIGHT) * seconds / span


def y_of(ms):
    low, high = (math.log10(value) for value in LATENCY_MS)
    share = (math.log10(min(max(ms, LATENCY_MS[0]), LATENCY_MS[1])) - low) / (high - low)
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def bands(phases, span):
    """`phases`: (name, begin, end) in seconds from the plot's left edge."""
    for name, begin, end in phases:
        left, right = x_of(max(begin, 0), span), x_of(min(end, span), span)
        yield (f'<rect x="{left:.1f}" y="{TOP}" width="{max(right - left, 1):.1f}" '
               f'height="{HEIGHT - TOP - BOTTOM}" fill="{TINTS.get(name, "#ffffff")}"/>')


def names(phases, span):
    """Beside each other where there is room, else one below the other above the plot."""
    free = 0.0
    for name, begin, end in phases:
        middle = (x_of(max(begin, 0), span) + x_of(min(end, span), span)) / 2
        width = 6.2 * len(name)
        if middle - width / 2 < free:
            middle = free + width / 2
        free = middle + width / 2 + 6
        yield f'<text x="{middle:.1f}" y="{TOP - 8}" text-anchor="middle">{name}</text>'


def axes(span):
    for ms in (0.1, 1, 10, 100, 1000):
        y = y_of(ms)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#00000022"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{ms:g} ms</text>'
    step = next(step for step in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if span / step <= 12)
    for i in range(int(span / step) + 1):
        x = x_of(i * step, span)
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{i * step:g} s</text>'


def dots(samples, span):
    """One path a colour; what falls on the same pixel is drawn once."""
    for wanted, colour in COLOURS.items():
        pixels = {(round(x_of(at, span)), round(y_of(latency * 1e3)))
                  for at, latency, kind in samples if kind == wanted}
        path = "".join(f"M{x} {y}h2" for x, y in sorted(pixels))
        yield f'<path d="{path}" stroke="{colour}" stroke-width="2" stroke-opacity="0.6"/>'


def svg(title, samples, phases, span):
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        f'<title>{title}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        *bands(phases, span), *axes(span), *names(phases, span), *dots(samples, span),
        f'<text x="{LEFT}" y="{HEIGHT - 10}">{title}; '
        f'<tspan fill="{COLOURS["w"]}">writes</tspan>, <tspan fill="{COLOURS["r"]}">reads</tspan>, '
        'latency from the instant each was due</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def draw(moves, path, rows=50_000, rate=500):
    """One move of a tenant with `rows` rows under `rate` writes a second, SQLite to PostgreSQL."""
    there, here = PAIRS["sqlite_postgres"]
    slug, token = moves.tenant(there, rows)
    process, out = moves.pace(token, rate, rate)
    time.sleep(0.5)  # what it looks like without a move
    offset = time.time() - time.monotonic()
    move = moves.move(slug, here)
    time.sleep(0.3)
    samples = moves.end_pace(process, out)
    events = json.loads(moves.machine.freehold("move", "events", move["name"], "--all", "-o", "json"))
    marks = []
    for event in events["events"]:
        phase = json.loads(event["detail"])["phase"].replace("_", " ")
        if not marks or marks[-1][0] != phase:
            marks.append((phase, seconds_of(event["time"]) - offset))
    begin = marks[0][1] - 0.3
    end = seconds_of(move["finishTime"]) - offset + 0.3
    phases = [(name, at - begin, (marks[i + 1][1] if i + 1 < len(marks) else at) - begin)
              for i, (name, at) in enumerate(marks)]
    seen = [(at - begin, latency, kind) for at, latency, kind in samples if begin <= at <= end]
    longest = max(latency for _, latency, kind in seen if kind == "w") * 1e3
    usual = statistics.median(latency for _, latency, kind in seen if kind == "w") * 1e3
    title = (f"{rows:,} rows, {rate} writes/s and {rate} reads/s, SQLite to PostgreSQL: median write "
             f"{usual:.1f} ms, longest {longest:.1f} ms")
    with open(path, "w", encoding="utf-8") as file:
        file.write(svg(title, seen, phases, end - begin))
