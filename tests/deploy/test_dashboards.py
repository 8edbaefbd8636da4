"""The dashboards: made from their source, with metrics that exist and thresholds of the alerts."""

import json
import pathlib
import re
import sys
import tempfile
import unittest

import yaml

from cluster import DEPLOY, ROOT
from test_alerts import FOREIGN, alerts, known_metrics, metrics_of, rules
from test_static import run

GRAFANA = DEPLOY / "grafana"
sys.path.insert(0, str(GRAFANA))
import make  # noqa: E402

# Which describe a node and say nothing of how it is.
SILENT = {"sealcast_limit", "sealcast_limit_burst", "sealcast_config_last_reload_success_timestamp", "process_threads"}
VALUES = {"$__rate_interval": "1m", "$job": "sealcast", "$instance": ".*"}


def boards():
    return {path.stem: json.loads(path.read_text()) for path in (GRAFANA / "dashboards").glob("*.json")}


def targets(board):
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel, target


def filled(expression):
    for name, value in VALUES.items():
        expression = expression.replace(name, value)
    return expression


# Grafana's schema of dashboards, as far as it is used here: of each member its type, or the values it
# may have; what begins with ! must be there; a list of one has many of these.
NUMBER, SOURCE = (int, float), {"!type": {"prometheus"}, "!uid": str}
LINK = {
    "!type": {"link", "dashboards"}, "!title": str, "!icon": str, "!tooltip": str, "!tags": [str], "url": str,
    "!asDropdown": bool, "!targetBlank": bool, "!includeVars": bool, "!keepTime": bool,
}
VARIABLE = {
    "!name": str, "!type": {"query"}, "!query": {"!query": str, "!refId": str}, "!refresh": {0, 1, 2}, "multi": bool,
    "includeAll": bool, "allValue": str, "!current": {"!text": str, "!value": str}, "!datasource": SOURCE,
}
FIELD = {
    "!unit": {"short", "percentunit", "s", "cps", "bytes", "Bps", "d"}, "!min": NUMBER,
    "!thresholds": {"!mode": {"absolute"}, "!steps": [{"!color": {"green", "red"}, "!value": (int, float, type(None))}]},
    "custom": {"!thresholdsStyle": {"!mode": {"line", "off"}}, "!fillOpacity": int},
}
PANEL = {
    "!id": int, "!title": str, "!description": str, "!type": {"timeseries", "stat"}, "!datasource": SOURCE, "!links": [LINK],
    "!gridPos": {"!x": int, "!y": int, "!w": int, "!h": int}, "!fieldConfig": {"!defaults": FIELD, "!overrides": [str]},
    "!targets": [{"!refId": str, "!expr": str, "!legendFormat": str, "!datasource": SOURCE}],
}
BOARD = {
    "!uid": str, "!title": str, "!tags": [str], "!schemaVersion": int, "!version": int, "!editable": bool, "!refresh": str,
    "!time": {"!from": str, "!to": str}, "!timezone": {"utc"}, "!links": [LINK], "!templating": {"!list": [VARIABLE]},
    "!annotations": {"!list": [str]}, "!panels": [PANEL],
}


def faults(value, schema, where="board"):
    """What is not as the schema says."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return [f"{where}: no object"]
        known = {name.lstrip("!"): inner for name, inner in schema.items()}
        found = [f"{where}.{name}: unknown" for name in value.keys() - known.keys()]
        found += [f"{where}.{name[1:]}: missing" for name in schema if name[0] == "!" and name[1:] not in value]
        return found + [fault for name in value.keys() & known.keys() for fault in faults(value[name], known[name], f"{where}.{name}")]
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{where}: no list"]
        return [fault for number, one in enumerate(value) for fault in faults(one, schema[0], f"{where}[{number}]")]
    if isinstance(schema, set):
        return [] if value in schema else [f"{where}: {value!r} is none of {schema}"]
    right = isinstance(value, schema) and (schema is bool or not isinstance(value, bool))
    return [] if right else [f"{where}: {value!r} is no {schema}"]


class Dashboards(unittest.TestCase):
    def test_they_are_what_make_py_makes(self):
        for name, board in make.boards().items():
            path = GRAFANA / f"dashboards/{name}.json"
            self.assertEqual(path.read_text(), make.text(board), "run deploy/grafana/make.py")
        self.assertEqual(set(boards()), set(make.boards()))

    def test_ids(self):
        uids = [board["uid"] for board in boards().values()]
        self.assertEqual(len(uids), len(set(uids)))
        for name, board in boards().items():
            ids = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(ids), len(set(ids)), name)
            titles = [panel["title"] for panel in board["panels"]]
            self.assertEqual(len(titles), len(set(titles)), name)

    def test_panels_do_not_cover_each_other(self):
        for name, board in boards().items():
            taken = set()
            for panel in board["panels"]:
                place = panel["gridPos"]
                cells = {
                    (x, y)
                    for x in range(place["x"], place["x"] + place["w"])
                    for y in range(place["y"], place["y"] + place["h"])
                }
                self.assertFalse(taken & cells, f"{name}: {panel['title']}")
                self.assertLessEqual(place["x"] + place["w"], 24)
                taken |= cells

    def test_schema(self):
        for name, board in boards().items():
            self.assertEqual(faults(board, BOARD), [], name)
        broken = {**board, "refresh": 15, "panels": [{**board["panels"][0], "type": "graph", "titel": ""}]}
        self.assertEqual(len(faults(broken, BOARD)), 3)

    def test_what_grafana_takes_without_a_word_and_shows_wrongly(self):
        for name, board in boards().items():
            declared = {f"${variable['name']}" for variable in board["templating"]["list"]}
            for variable in board["templating"]["list"]:
                asked = re.findall(r"\$\w+", variable["query"]["query"])
                self.assertLess(set(asked), declared, name)
            for panel in board["panels"]:
                where = f"{name}: {panel['title']}"
                steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
                self.assertIsNone(steps[0], where)
                self.assertEqual(steps[1:], sorted(steps[1:]), where)
                letters = [target["refId"] for target in panel["targets"]]
                self.assertEqual(len(letters), len(set(letters)), where)
                for target in panel["targets"]:
                    self.assertEqual(target["datasource"], panel["datasource"], where)
                    self.assertLessEqual(set(re.findall(r"\$\w+", target["expr"])), declared | {"$__rate_interval"}, where)
                    # A label that the query does not keep would be an empty name.
                    kept = re.findall(r"\bby \(([^)]*)\)", target["expr"])
                    if kept:
                        labels = {label.strip() for each in kept for label in each.split(",")}
                        self.assertLessEqual(set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])), labels, where)

    def test_each_number_of_a_node_is_shown_or_watched(self):
        asked = {metric for rule in rules() for metric in metrics_of(rule["expr"])}
        asked |= {metric for board in boards().values() for _, target in targets(board) for metric in metrics_of(filled(target["expr"]))}
        asked = {re.sub("_(bucket|sum|count)$", "", metric) for metric in asked}
        documented = set(re.findall(r"^\| `(\w+)` \| (?:counter|gauge|histogram) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
        self.assertEqual(documented - asked - SILENT, set(), "give it a panel in deploy/grafana/make.py, or an alert")
        self.assertLessEqual(SILENT, documented - asked)

    def test_each_query_is_right_and_asks_for_what_exists(self):
        known, queries = known_metrics(), []
        for name, board in boards().items():
            for panel, target in targets(board):
                where, expression = f"{name}: {panel['title']}", filled(target["expr"])
                self.assertNotIn("$", expression, where)
                for metric in metrics_of(expression):
                    self.assertTrue(metric in known or FOREIGN.match(metric), f"{where}: {metric}")
                queries.append({"record": f"q:{len(queries)}:x".replace(":", "_"), "expr": expression})
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "queries.yml"
            path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": queries}]}))
            run("promtool", "check", "rules", path)

    def test_red_is_where_the_alert_fires(self):
        known, shown = alerts(), set()
        for name, board in boards().items():
            for panel in board["panels"]:
                steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
                named = re.match(r"Alert (\w+): (\S+)$", panel["description"])
                self.assertEqual(named is None, len(steps) == 1, panel["title"])
                if not named:
                    continue
                alert = known[named[1]]
                shown.add(named[1])
                self.assertEqual(named[2], alert["annotations"]["runbook_url"])
                number = f"{steps[1]['value']:g}"
                products = {f"{float(a) * float(b):g}" for a, b in re.findall(r"([\d.]+) \* ([\d.]+)", alert["expr"])}
                numbers = {f"{float(text):g}" for text in re.findall(r"[<>] (\d[\d.]*)", alert["expr"])}
                self.assertIn(number, products | numbers, f"{name}: {panel['title']}")
        self.assertGreater(len(shown), 15)

    def test_each_alert_leads_to_a_dashboard(self):
        paths = {f"/d/{board['uid']}" for board in boards().values()}
        for name, alert in alerts().items():
            self.assertIn(alert["annotations"]["dashboard"], paths, name)

    def test_they_are_provisioned(self):
        provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/sealcast.yml").read_text())["providers"][0]
        mounts = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]["volumes"]
        self.assertIn(f"./deploy/grafana/dashboards:{provider['options']['path']}:ro", mounts)
        sources = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
        self.assertEqual([source["uid"] for source in sources], ["prometheus"])
