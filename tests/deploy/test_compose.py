"""What every service of docker-compose.yml must be like."""

import re
import unittest

import yaml

from cluster import ROOT

FILE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = FILE["services"]
# Which run once, so that nobody asks whether they are well.
ONCE = {"init", "where", "key", "k6"}


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text)[1])


class Policy(unittest.TestCase):
    def each(self):
        for name, service in SERVICES.items():
            with self.subTest(service=name):
                yield name, service

    def test_hardened(self):
        for name, service in self.each():
            self.assertIs(service["read_only"], True)
            self.assertEqual(service["cap_drop"], ["ALL"])
            self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
            self.assertNotIn("privileged", service)
            self.assertRegex(service["user"], r"^\d+:\d+$")
            # Only who gives secrets to their readers, or prints one, is root.
            self.assertEqual(service["user"].startswith("0:"), name in ("init", "key"))
            self.assertEqual(service.get("cap_add", []), ["CHOWN"] if name == "init" else [])

    def test_limited(self):
        for _, service in self.each():
            self.assertGreater(service["pids_limit"], 0)
            self.assertRegex(service["mem_limit"], r"^\d+[mg]$")
            self.assertGreater(service["cpus"], 0)
            self.assertIn("max-size", service["logging"]["options"])

    def test_somebody_asks_whether_it_is_well(self):
        for name, service in self.each():
            self.assertEqual("healthcheck" in service, name not in ONCE)
            self.assertEqual(service["restart"], "no" if name in ONCE else "unless-stopped")

    def test_versions_are_pinned(self):
        for _, service in self.each():
            image = re.sub(r"\$\{STACK_VERSION:-(.*)\}", r"\1", service["image"])
            self.assertRegex(image, r":v?\d+\.\d+\.\d+(-\w+)?$")

    def test_nodes_have_time_to_leave(self):
        deadline = yaml.safe_load((ROOT / "deploy/sealcast.yaml").read_text())["shutdown"]["deadline"]
        for name in ("node1", "node2", "node3"):
            self.assertGreater(seconds(SERVICES[name]["stop_grace_period"]), seconds(deadline))

    def test_what_is_published(self):
        ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
        self.assertEqual(set(ports), {"haproxy", "grafana"})
        self.assertTrue(all(port.startswith("127.0.0.1:") for port in ports["grafana"]))

    def test_networks(self):
        networks = FILE["networks"]
        self.assertEqual({name for name, one in networks.items() if not one.get("internal")}, {"edge"})
        on = {name: {service for service, one in SERVICES.items() if name in one.get("networks", [])} for name in networks}
        self.assertEqual(on["data"], {"redis", "redis-exporter", "node1", "node2", "node3"})
        self.assertEqual(on["edge"], {"haproxy", "grafana", "alertmanager"})
        for name, service in self.each():
            # Without one it would be on a network of its own that leads out.
            self.assertTrue("networks" in service or service.get("network_mode") == "none" or name == "dev")

    def test_no_secrets_in_the_environment(self):
        for _, service in self.each():
            for name, value in service.get("environment", {}).items():
                if re.search("KEY|PASSWORD|SECRET|TOKEN", name):
                    self.assertTrue(str(value).startswith("/run/secrets/"), name)

    def test_each_reads_only_its_own_secrets(self):
        readers = {}
        for name, service in SERVICES.items():
            for volume in service.get("volumes", []):
                if volume.startswith("secrets_") and name != "init":
                    readers.setdefault(volume.split(":")[0], set()).add(name)
                    self.assertTrue(volume.endswith(":ro"), volume)
        self.assertEqual(readers, {
            "secrets_person": {"key"},
            "secrets_node": {"node1", "node2", "node3"},
            "secrets_lb": {"haproxy"},
            "secrets_redis": {"redis"},
            "secrets_metrics": {"redis-exporter"},
            "secrets_grafana": {"grafana"},
            "secrets_alerts": {"alertmanager"},
            "secrets_load": {"k6"},
        })

    def test_files_are_not_written(self):
        for _, service in self.each():
            for volume in service.get("volumes", []):
                if volume.startswith((".", "/", "$")):
                    self.assertTrue(volume.endswith(":ro"), volume)


class Dockerfile(unittest.TestCase):
    TEXT = (ROOT / "deploy/Dockerfile").read_text()

    def test_the_last_stage(self):
        last = self.TEXT[self.TEXT.rindex("\nFROM ") :]
        self.assertTrue(last.startswith("\nFROM scratch\n"))
        self.assertNotIn("RUN", last)
        self.assertRegex(last, r"USER \d+:\d+")
        self.assertIn('CMD ["/sealcast", "health"', last)

    def test_nothing_that_needs_a_registry_beside_the_base(self):
        self.assertNotIn("# syntax", self.TEXT)
        self.assertEqual(re.findall(r"FROM (\S+)", self.TEXT), ["rust:${RUST}", "scratch"])

    def test_what_the_program_includes_is_sent_to_the_builder(self):
        kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        sources = [path for part in ("src", "crates", "clients/rust/src") for path in (ROOT / part).rglob("*.rs")]
        included = set()
        for source in sources:
            text = re.sub(r"#\[cfg\(test\)\]\nmod \w+ \{.*", "", source.read_text(), flags=re.DOTALL)
            for path in re.findall(r'include_(?:str|bytes)!\(\s*(?:concat!\(\s*)?"([^"]+)"', text):
                included.add(str((source.parent / path).resolve().relative_to(ROOT)))
        self.assertIn("docs/openapi.json", included)
        for path in included:
            self.assertTrue(any(path == one or path.startswith(one + "/") or path == one + "/" for one in kept), path)
