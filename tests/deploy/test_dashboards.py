"""The dashboards: made from their source, with metrics that exist and thresholds of the alerts."""

import json
import pathlib
import re
import sys
import tempfile
import unittest

import yaml

from cluster import DEPLOY, ROOT
from test_alerts import FOREIGN, alerts, known_metrics, metrics_of
from test_static import run

GRAFANA = DEPLOY / "grafana"
sys.path.insert(0, str(GRAFANA))
import make  # noqa: E402

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
