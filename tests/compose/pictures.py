"""Asks Grafana for what its panels show, and draws that: where no Grafana can be had, a person still
sees whether a dashboard tells something. Plain SVG in a page, photographed by Chromium."""

import concurrent.futures
import html
import json
import pathlib
import re
import subprocess
import tempfile
import urllib.request

GRAFANA = "http://127.0.0.1:3000"
MINUTES = 15
VALUES = {"$__rate_interval": "1m", "$job": "sealcast", "$instance": ".*"}
COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#37872d", "#8ab8ff", "#ffa6b0"]
CELL = (64, 34)


def asked(headers, uids):
    """What each panel of these dashboards shows: by dashboard a list of {title, series, empty}, where
    series has one list of (labels, times, values) for each query."""
    shown = {}
    for uid in uids:
        board = get(f"/api/dashboards/uid/{uid}", headers)["dashboard"]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            shown[uid] = list(pool.map(lambda panel: one_panel(panel, headers), board["panels"]))
    return shown


def one_panel(panel, headers):
    series = []
    for target in panel["targets"]:
        expression = target["expr"]
        for name, value in VALUES.items():
            expression = expression.replace(name, value)
        query = {**target, "expr": expression, "range": True, "intervalMs": 15000, "maxDataPoints": 200}
        body = {"queries": [query], "from": f"now-{MINUTES}m", "to": "now"}
        result = get("/api/ds/query", headers, body)["results"][target["refId"]]
        if "error" in result:
            raise AssertionError(f"{panel['title']}: {result['error']}")
        frames = []
        for frame in result["frames"]:
            times, values = frame["data"]["values"]
            labels = frame["schema"]["fields"][1].get("labels", {})
            points = [(time / 1000, value) for time, value in zip(times, values) if isinstance(value, (int, float))]
            if points:
                frames.append((labels, points))
        series.append(frames)
    # A panel of several queries tells something if one of them does.
    return {"title": panel["title"], "series": series, "empty": not any(series)}


def get(path, headers, body=None):
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(GRAFANA + path, data, headers), timeout=30) as answer:
        return json.load(answer)


def draw(folder, boards, panels):
    """folder/UID.png for each dashboard."""
    for board in boards:
        shown = {panel["title"]: panel for panel in panels[board["uid"]]}
        height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"]) * CELL[1] + 60
        width = 24 * CELL[0] + 16
        drawn = "".join(card(panel, shown[panel["title"]]) for panel in board["panels"])
        page = (
            "<!doctype html><meta charset=utf-8><style>body{margin:8px;background:#111217;color:#ccccdc;"
            "font:12px sans-serif;position:relative}h1{font-size:18px;margin:6px 0}div{position:absolute;"
            "background:#181b1f;border:1px solid #2c3235;box-sizing:border-box;padding:4px;overflow:hidden}"
            f"</style><h1>{html.escape(board['title'])}, {MINUTES} minutes</h1>{drawn}"
        )
        with tempfile.TemporaryDirectory() as profile:
            path = pathlib.Path(profile) / "page.html"
            path.write_text(page)
            subprocess.run(
                ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}/user",
                 f"--window-size={width},{height}", f"--screenshot={folder / board['uid']}.png", path.as_uri()],
                check=True, capture_output=True, timeout=120,
            )


def card(panel, shown):
    place, defaults = panel["gridPos"], panel["fieldConfig"]["defaults"]
    left, top = place["x"] * CELL[0], place["y"] * CELL[1] + 40
    width, height = place["w"] * CELL[0] - 6, place["h"] * CELL[1] - 6
    lines = [
        (legend(target, labels), points)
        for target, frames in zip(panel["targets"], shown["series"])
        for labels, points in frames
    ]
    steps = defaults["thresholds"]["steps"]
    if shown["empty"]:
        inner = "<p style='color:#888'>No data</p>"
    elif panel["type"] == "stat":
        value = lines[0][1][-1][1]
        colour = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
        inner = f"<p style='font-size:30px;margin:8px;color:{colour}'>{written(value, defaults['unit'])}</p>"
    else:
        limit = steps[1]["value"] if len(steps) > 1 else None
        inner = chart(lines, limit, defaults["unit"], width - 10, height - 28)
    style = f"left:{left}px;top:{top}px;width:{width}px;height:{height}px"
    return f"<div style='{style}'><b>{html.escape(panel['title'])}</b>{inner}</div>"


def chart(lines, limit, unit, width, height):
    graph = height - 14 * min(3, len(lines)) - 6
    times = [time for _, points in lines for time, _ in points]
    # As Grafana does, a far-away threshold is not drawn into the scale.
    highest = max(value for _, points in lines for _, value in points) or 1
    start, span = min(times), max(1, max(times) - min(times))
    x = lambda time: 46 + (time - start) / span * (width - 50)  # noqa: E731
    y = lambda value: graph - value / (highest * 1.1) * (graph - 8)  # noqa: E731
    parts = [f"<svg width={width} height={height} style='display:block'>"]
    for share in (0, 0.5, 1):
        at = y(highest * share)
        parts.append(f"<line x1=46 x2={width} y1={at:.1f} y2={at:.1f} stroke='#2c3235'/>")
        parts.append(f"<text x=2 y={at + 4:.1f} fill='#888' font-size=10>{written(highest * share, unit)}</text>")
    if limit is not None and limit <= highest * 1.1:
        parts.append(f"<line x1=46 x2={width} y1={y(limit):.1f} y2={y(limit):.1f} stroke='#f2495c' stroke-dasharray='4 3'/>")
    for number, (name, points) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x(time):.1f},{y(value):.1f}" for time, value in points)
        parts.append(f"<polyline points='{path}' fill=none stroke='{colour}' stroke-width=1.5 stroke-linejoin=round />")
        if len(points) == 1:
            parts.append(f"<circle cx={x(points[0][0]):.1f} cy={y(points[0][1]):.1f} r=2 fill='{colour}'/>")
        if number < 9:
            column, row = number % 3, number // 3
            at = graph + 14 * (row + 1)
            parts.append(
                f"<text x={column * width // 3 + 2} y={at} fill='{colour}' font-size=11>"
                f"{html.escape(name[:26])} {written(points[-1][1], unit)}</text>"
            )
    return "".join(parts) + "</svg>"


def legend(target, labels):
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), target["legendFormat"])


def written(value, unit):
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s" and value < 1:
        return f"{value * 1000:.3g} ms"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}{ {'bytes': 'B', 'Bps': 'B/s'}.get(unit, '') }"
    return f"{value:.3g}" + {"s": " s", "bytes": " B", "Bps": " B/s", "cps": "/s", "d": " d"}.get(unit, "")
