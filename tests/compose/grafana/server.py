"""Stands where Grafana would: reads the provisioning as Grafana does, and ends at what Grafana would
only log, so that a stack with a fault there does not come up. Draws nothing. Answers what tests ask:
health, who is admin, the dashboards, and queries over a time, which it passes to the datasource."""

import base64
import http.server
import json
import math
import os
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

PROVISIONING = pathlib.Path("/etc/grafana/provisioning")
DATA = pathlib.Path("/var/lib/grafana")


def documents(kind):
    for path in sorted((PROVISIONING / kind).glob("*.y*ml")):
        document = yaml.safe_load(path.read_text())
        if document.get("apiVersion") != 1:
            sys.exit(f"{path}: apiVersion is not 1")
        yield document


def sources():
    found = {}
    for document in documents("datasources"):
        for source in document["datasources"]:
            unknown = set(source) - {
                "name", "uid", "type", "access", "url", "isDefault", "editable", "jsonData", "secureJsonData"
            }
            if unknown:
                sys.exit(f"datasource {source.get('name')}: unknown {unknown}")
            found[source["uid"]] = source
    return found


def dashboards():
    found = {}
    for document in documents("dashboards"):
        for provider in document["providers"]:
            paths = sorted(pathlib.Path(provider["options"]["path"]).rglob("*.json"))
            if not paths:
                sys.exit(f"provider {provider['name']}: no dashboard")
            for path in paths:
                board = json.loads(path.read_text())
                if board["uid"] in found or len(board["uid"]) > 40 or board.get("id"):
                    sys.exit(f"{path}: uid is taken or too long, or an id is given")
                found[board["uid"]] = board
    return found


def frame(series):
    """A series in the form of Grafana's: times in ms, and values."""
    times, values = zip(*series["values"])
    return {
        "schema": {"fields": [{"name": "Time"}, {"name": "Value", "labels": series["metric"]}]},
        "data": {"values": [[int(at * 1000) for at in times], [number(value) for value in values]]},
    }


def number(text):
    value = float(text)
    return value if math.isfinite(value) else None


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/api/health":
            return self.send({"database": "ok"})
        if not self.is_admin():
            return self.send({"message": "Unauthorized"}, 401)
        if path == "/api/search":
            return self.send([{"uid": uid, "title": board["title"]} for uid, board in BOARDS.items()])
        board = BOARDS.get(path.removeprefix("/api/dashboards/uid/"))
        if board:
            return self.send({"dashboard": board})
        return self.send({"message": "Not found"}, 404)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.is_admin():
            return self.send({"message": "Unauthorized"}, 401)
        results = {}
        seconds = 60 * int(re.fullmatch(r"now-(\d+)m", body["from"])[1])
        for query in body["queries"]:
            source = SOURCES[query["datasource"]["uid"]]
            end = time.time()
            asked = urllib.parse.urlencode({
                "query": query["expr"], "start": end - seconds, "end": end,
                "step": max(query["intervalMs"] / 1000, seconds / query["maxDataPoints"]),
            })
            try:
                with urllib.request.urlopen(f"{source['url']}/api/v1/query_range?{asked}", timeout=10) as answer:
                    results[query["refId"]] = {"frames": list(map(frame, json.load(answer)["data"]["result"]))}
            except urllib.error.HTTPError as error:
                results[query["refId"]] = {"error": error.read().decode(), "frames": []}
        return self.send({"results": results})

    def is_admin(self):
        return self.headers.get("Authorization") == ADMIN

    def send(self, body, status=200):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


password = pathlib.Path(os.environ["GF_SECURITY_ADMIN_PASSWORD__FILE"]).read_text().strip()
ADMIN = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
SOURCES, BOARDS = sources(), dashboards()
(DATA / "grafana.db").touch()
http.server.ThreadingHTTPServer(("", 3000), Answer).serve_forever()
