"""Bad input: the stack says which and what to do, and no node starts weaker."""

import socket
import subprocess
import time
import urllib.request

from stack import Clone


class Faults(Clone):
    def tearDown(self):
        self.compose("--profile", "*", "down", "-v", "--remove-orphans")

    def assert_no_node_serves(self):
        for node in ("node1", "node2", "node3"):
            self.assertNotIn("healthy", self.state(node).replace("unhealthy", ""), node)

    def wait_for(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while not (found := condition()):
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.5)
        return found

    def in_volume(self, volume, *command):
        subprocess.run(
            ["docker", "run", "--rm", "--volume", f"sealcast_{volume}:/s", "packages.test", *command], check=True, capture_output=True
        )

    def test_a_wrong_certificate(self):
        given = self.own / "tls.pem"
        given.write_text("no certificate")
        self.addCleanup(given.unlink)
        self.assertIn("init", self.compose("up", "--detach", "--no-build", "--wait", ok=False))
        told = self.compose("logs", "init")
        self.assertIn("tls.pem: no certificate that is good for a day more; put a new one there, or remove it", told)
        self.assert_no_node_serves()

    def test_a_secret_that_is_too_weak(self):
        self.compose("up", "--no-build", "init")
        self.in_volume("secrets_person", "sh", "-c", "echo secret > /s/token_key")
        self.assertIn("init", self.compose("up", "--detach", "--no-build", "--wait", ok=False))
        told = self.compose("logs", "init")
        self.assertIn("token_key is shorter than 32 characters; remove it and start again", told)
        self.assert_no_node_serves()

    # A node does without none; the next start makes what is missing.
    def test_a_secret_that_is_missing(self):
        self.up("node1")
        for name in ("token_key", "api_key", "cluster_key", "relay_password"):
            self.in_volume("secrets_node", "rm", f"/s/{name}")
            self.compose("up", "--detach", "--no-build", "--no-deps", "--force-recreate", "node1")
            told = self.wait_for(lambda name=name: self.says("node1", f"/run/secrets/{name}"), f"{name} is named")
            self.assertIn(f"{name}", told)
            self.assert_no_node_serves()
            self.compose("rm", "--force", "--stop", "node1")
            self.compose("up", "--detach", "--no-build", "--wait", "node1")

    # Nor does anybody else, and each names the file.
    def test_another_secret_that_is_missing(self):
        self.up()
        for service, part, name in (
            ("redis", "redis", "users.acl"), ("haproxy", "lb", "tls.pem"), ("haproxy", "lb", "cookie.cfg"),
            ("alertmanager", "alerts", "alertmanager.yml"), ("grafana", "grafana", "grafana_password"),
        ):
            with self.subTest(service=service, secret=name):
                self.in_volume(f"secrets_{part}", "rm", f"/s/{name}")
                self.compose("up", "--detach", "--no-build", "--no-deps", "--force-recreate", service)
                self.wait_for(lambda: self.says(service, f"/run/secrets/{name}"), f"{name} is named")
                self.assertNotEqual(self.state(service), "running healthy")
                self.compose("up", "--detach", "--no-build", "--wait")

    # Somebody changed what Redis is started with, and its users are gone.
    def test_redis_that_lets_in_anybody(self):
        override = self.root / "docker-compose.override.yml"
        override.write_text('services:\n  redis:\n    command: ["redis-server", "--protected-mode", "no"]\n')
        self.addCleanup(override.unlink)
        self.assertIn("redis", self.compose("up", "--detach", "--no-build", "--wait", ok=False))
        self.assert_no_node_serves()
        told = self.script("check.sh", status=1)
        self.assertIn("lets in who brings no name: is deploy/redis/redis.conf used", told)
        # Nor does a node that is started by itself go without its password.
        self.compose("up", "--detach", "--no-build", "--no-deps", "node1")
        self.wait_for(lambda: self.says("node1", "refuses the user or the password"), "the node says that it is refused")
        self.assert_no_node_serves()

    def test_a_port_that_is_in_use(self):
        with socket.create_server(("0.0.0.0", 8000)):
            told = self.compose("up", "--detach", "--no-build", "--wait", ok=False)
            self.assertRegex(told, "8000.*(already|in use)")
            self.assertIn("STACK_HTTP_PORT", self.script("check.sh", status=1))
        # Another port, as it says.
        self.compose("up", "--detach", "--no-build", "--wait", STACK_HTTP_PORT="8010")
        with urllib.request.urlopen("http://127.0.0.1:8010/health/ready", timeout=10) as answer:
            self.assertEqual(answer.status, 200)

    def says(self, service, text):
        told = self.compose("logs", "--no-log-prefix", service)
        return told if text in told else None
