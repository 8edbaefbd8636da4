"""The alerts: each fires when it should, is silent when it should, and leads to a page."""

import collections
import pathlib
import re
import tempfile
import unittest

import yaml

from cluster import DEPLOY, ROOT
from test_static import run

RULES = DEPLOY / "prometheus/rules"
CASES = pathlib.Path(__file__).with_name("alerts")
# What the other programs of the stack serve; the metrics of a node are in docs/metrics.md.
FOREIGN = re.compile(
    r"(up|redis_\w+|haproxy_\w+|node_\w+|probe_\w+|prometheus_\w+|alertmanager_\w+|ALERTS)$"
)
WORDS = {
    "and", "or", "unless", "by", "on", "without", "ignoring", "offset", "sum", "max", "min", "avg", "count",
    "rate", "increase", "abs", "time", "vector", "deriv", "predict_linear", "histogram_quantile",
    "avg_over_time", "max_over_time", "stddev_over_time", "bool", "clamp_max", "clamp_min", "group_left",
    "label_replace", "topk", "changes", "scalar", "delta", "min_over_time", "sum_over_time", "absent",
}


def rules():
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def alerts():
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def metrics_of(expression):
    """The names of metrics in an expression."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left)\s*\([^)]*\)", "", bare)
    return {word for word in re.findall(r"[A-Za-z_][\w:]*", bare) if word not in WORDS and not re.fullmatch(r"[smhdwy]", word)}


def known_metrics():
    """Metrics of a node by docs/metrics.md, with what a histogram is made of."""
    names = set()
    for name, kind in re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE):
        names |= {name + part for part in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names | {rule["record"] for rule in rules() if "record" in rule}


def anchors(page):
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


class Alerts(unittest.TestCase):
    maxDiff = None

    def test_each_fires_and_is_silent(self):
        known, cases = alerts(), {}
        for path in CASES.glob("*.yml"):
            cases.update(yaml.safe_load(path.read_text()))
        self.assertEqual(set(cases), set(known))
        tests = collections.defaultdict(list)
        for name, case in cases.items():
            # What always fires has no silent case.
            self.assertEqual("silent" in case, known[name]["expr"] != "vector(1)", name)
            for kind in ("fires", "silent"):
                if kind in case:
                    interval = case.get("interval", "30s")
                    tests[interval].append(self.promtool_test(known[name], case[kind], interval, fires=kind == "fires"))
        with tempfile.TemporaryDirectory() as folder:
            for interval, some in tests.items():
                path = pathlib.Path(folder) / f"{interval}.yml"
                tested = {each["alert_rule_test"][0]["alertname"] for each in some}
                whole = {
                    "rule_files": [self.some_rules(tested, path.with_suffix(".rules"))],
                    # Courses of days are looked at less often: that is what takes the time.
                    "evaluation_interval": interval,
                    "tests": some,
                }
                path.write_text(yaml.safe_dump(whole))
            run("promtool", "test", "rules", *pathlib.Path(folder).glob("*.yml"))

    @staticmethod
    def some_rules(names, path):
        """A file with what is recorded and these alerts."""
        some = [rule for rule in rules() if rule.get("alert") in names or "record" in rule]
        some.sort(key=lambda rule: "alert" in rule)
        path.write_text(yaml.safe_dump({"groups": [{"name": "some", "rules": some}]}))
        return str(path)

    @staticmethod
    def promtool_test(alert, told, interval, fires):
        labels = {**alert["labels"], **told.get("labels", {})}
        expected = []
        if fires:
            texts = {
                name: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda label: labels[label[1]], text)
                for name, text in alert["annotations"].items()
            }
            expected = [{"exp_labels": labels, "exp_annotations": texts}]
        return {
            "name": f"{alert['alert']} {'fires' if fires else 'is silent'}",
            "interval": interval,
            "input_series": [{"series": series, "values": values} for series, values in told["series"].items()],
            "alert_rule_test": [
                {"eval_time": told["at"], "alertname": alert["alert"], "exp_alerts": expected}
            ],
        }

    def test_each_says_how_urgent_it_is_and_what_to_do(self):
        for name, alert in alerts().items():
            self.assertIn(alert["labels"]["severity"], ("page", "ticket", "none"), name)
            self.assertTrue(alert["annotations"]["summary"], name)
            path, _, anchor = alert["annotations"]["runbook_url"].partition("#")
            self.assertIn(anchor, anchors(ROOT / path), name)
            self.assertEqual(anchor, name.lower())

    def test_each_is_in_the_table_of_runbooks(self):
        table = (ROOT / "docs/runbooks/README.md").read_text()
        for name, alert in alerts().items():
            page = pathlib.Path(alert["annotations"]["runbook_url"].partition("#")[0]).name
            self.assertRegex(table, rf"\]\({page}\) \|.*\b{name}\b")

    def test_runbooks_have_nothing_about_alerts_that_are_gone(self):
        names = {name.lower() for name in alerts()}
        for page in (ROOT / "docs/runbooks").glob("*.md"):
            for title in re.findall(r"^## ([A-Z]\w+[A-Z]\w+|Panics|Watchdog)$", page.read_text(), re.MULTILINE):
                self.assertIn(title.lower(), names, page)

    def test_each_asks_for_metrics_that_exist(self):
        known = known_metrics()
        for rule in rules():
            for metric in metrics_of(rule["expr"]):
                self.assertTrue(metric in known or FOREIGN.match(metric), f"{metric} in {rule}")


class LoadTests(unittest.TestCase):
    def test_their_goals_are_those_of_the_alerts(self):
        scripts = "".join(path.read_text() for path in (ROOT / "load-tests").glob("*.js"))
        for metric, alert in (("delivery_time", "DeliveryLatency"), ("ack_time", "PublishAckLatency")):
            seconds = float(re.search(r"> ([\d.]+)\s*$", alerts()[alert]["expr"])[1])
            goals = set(re.findall(rf"{metric}: \['p\(99\)<(\d+)'\]", scripts))
            self.assertEqual(goals, {f"{seconds * 1000:.0f}"}, metric)
        self.assertIn("14.4 * 0.001", alerts()["ErrorBudgetFastBurn"]["expr"])
        self.assertIn("connected: ['rate>0.999']", scripts)


class Prometheus(unittest.TestCase):
    def test_rules_and_configuration(self):
        run("promtool", "check", "rules", *sorted(RULES.glob("*.yml")))
        run("promtool", "check", "config", "--syntax-only", ROOT / "prometheus.yml")

    def test_each_job_that_an_alert_names_is_there(self):
        jobs = {job["job_name"] for job in yaml.safe_load((ROOT / "prometheus.yml").read_text())["scrape_configs"]}
        for rule in rules():
            for job in re.findall(r'job="([\w-]+)"', rule["expr"]):
                self.assertIn(job, jobs, rule)


class Alertmanager(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        own = folder / "own"
        own.mkdir()
        (own / "page_url").write_text("https://pager.example/hook?a=1&b=2\n")
        cls.init = ["sh", DEPLOY / "init.sh", folder / "secrets"]
        cls.environment = {"OWNERS": "no", "OWN": str(own)}
        run(*cls.init, environment=cls.environment)
        cls.own, cls.file = own, folder / "secrets/alerts/alertmanager.yml"

    def test_configuration(self):
        run("amtool", "check-config", self.file)
        text = self.file.read_text()
        self.assertIn("url: 'https://pager.example/hook?a=1&b=2'", text)
        self.assertNotIn("_url'", text)

    def test_an_address_that_is_none_is_told(self):
        (self.own / "ticket_url").write_text("tickets'}")
        self.assertIn("ticket_url is no URL", run(*self.init, environment=self.environment, ok=False))
        (self.own / "ticket_url").unlink()

    def test_routes(self):
        for labels, receiver in (
            (["alertname=NodeDown", "severity=page"], "page"),
            (["alertname=TrafficSpike", "severity=ticket"], "ticket"),
            (["alertname=Watchdog", "severity=none"], "watchdog"),
            (["alertname=Unheard"], "page"),
        ):
            told = run("amtool", "config", "routes", "test", f"--config.file={self.file}", *labels)
            self.assertEqual(told.strip().splitlines()[-1], receiver, labels)
