"""What else can be started from the same files: one node for developing, TLS, a Redis Cluster."""

import asyncio
import json
import ssl
import subprocess
import time
import urllib.request

import websockets
from stack import Clone, Stack


class Dev(Clone):
    def test_one_node_by_itself(self):
        self.up("dev")
        self.assertEqual(self.compose("ps", "--services").split(), ["dev"])
        with urllib.request.urlopen("http://127.0.0.1:8000/", timeout=10) as page:
            self.assertIn(b"<html", page.read())
        self.assertEqual(self.state("dev"), "running healthy")
        # From this machine only.
        addresses = subprocess.run(["ss", "-Hltn", "sport", "=", ":8000"], check=True, capture_output=True, text=True).stdout
        self.assertEqual({line.split()[3] for line in addresses.splitlines()}, {"127.0.0.1:8000"})


class Overlay(Stack):
    """What every overlay must keep."""

    overlay: str

    @classmethod
    def setUpClass(cls):
        cls.variables = {"COMPOSE_FILE": f"docker-compose.yml:deploy/compose/{cls.overlay}.yml"}
        super().setUpClass()

    def test_1_all_is_well(self):
        print(f"\n{self.overlay}: up after {self.seconds:.0f} s")
        self.script("check.sh")

    def test_2_no_service_is_weaker(self):
        services = json.loads(self.compose("--profile", "*", "config", "--format", "json"))["services"]
        for name, service in services.items():
            with self.subTest(service=name):
                self.assertTrue(service["read_only"])
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
                self.assertGreater(service["pids_limit"], 0)


class Tls(Overlay):
    overlay = "tls"

    def test_3_clients_have_tls_alone(self):
        ports = self.compose("ps", "--format", "{{.Ports}}", "haproxy")
        self.assertIn(":8443->8443", ports)
        self.assertNotIn("->8000", ports)
        pem = self.compose("run", "--rm", "--no-deps", "-T", "key", "tls.pem")
        trusted = ssl.create_default_context(cadata=pem[pem.index("-----BEGIN C") : pem.index("-----BEGIN P")])
        asyncio.run(self.connect(trusted))

    async def connect(self, trusted):
        async with websockets.connect("wss://localhost:8443/connection/websocket", ssl=trusted) as client:
            await client.send(json.dumps({"id": 1, "connect": {"token": self.token("ada")}}))
            self.assertIn('"client"', await client.recv())

    def test_4_redis_speaks_nothing_else(self):
        plain = self.run_there("docker", "compose", "exec", "-T", "redis", "redis-cli", "ping").stdout
        self.assertNotIn("NOAUTH", plain)
        self.assertNotIn("PONG", plain)

    def test_5_a_node_takes_no_other_authority(self):
        strange = self.run_there("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                                 "-days", "9", "-subj", "/CN=other", "-keyout", "/dev/null", "-out", str(self.own / "other.pem"))
        self.assertEqual(strange.returncode, 0, strange.stdout)
        (self.own / "other.pem").chmod(0o644)
        override = self.root / "other.yml"
        override.write_text(
            f"services:\n  node1:\n    volumes: ['{self.own}/other.pem:/other.pem:ro']\n"
            "    environment: {SEALCAST_ENGINE_REDIS_TLS_SERVER_CA_PEM: /other.pem}\n"
        )
        files = f"docker-compose.yml:deploy/compose/tls.yml:{override}"
        self.compose("up", "--detach", "--no-build", "--no-deps", "node1", COMPOSE_FILE=files)
        end = time.monotonic() + 60
        while "unhealthy" not in self.state("node1") and "restarting" not in self.state("node1"):
            self.assertLess(time.monotonic(), end, "the node is not well")
            time.sleep(0.5)
        self.assertRegex(self.compose("logs", "--no-log-prefix", "node1"), "(?i)certificate|UnknownIssuer")


class RedisCluster(Overlay):
    overlay = "cluster"

    def test_3_channels_are_spread_over_the_primaries(self):
        for number in range(30):
            self.api("publish", {"channel": f"chat:spread-{number}", "data": {"n": number}})
        keys = [int(self.metric(f"{instance}:6379", "redis_db_keys")) for instance in ("redis", "redis2", "redis3")]
        self.assertTrue(all(keys), keys)

    def metric(self, instance, name):
        """The last value at Prometheus; waits for the first."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            query = f'http://127.0.0.1:9090/api/v1/query?query=sum({name}%7Binstance="{instance}"%7D)'
            told = self.compose("exec", "-T", "prometheus", "wget", "-q", "-O", "-", query)
            result = json.loads(told)["data"]["result"]
            if result and float(result[0]["value"][1]) > 0:
                return float(result[0]["value"][1])
            time.sleep(2)
        self.fail(f"{instance}: no {name}")

    # Its replica takes over; who listens stays, and hears what is published then.
    def test_4_a_primary_is_lost(self):
        asyncio.run(self.primary_is_lost())

    async def primary_is_lost(self):
        async with websockets.connect("ws://127.0.0.1:8000/connection/websocket") as client:
            await client.send(json.dumps({"id": 1, "connect": {"token": self.token("ada")}}))
            for number in range(12):
                await client.send(json.dumps({"id": 2 + number, "subscribe": {"channel": f"chat:lost-{number}"}}))
            self.compose("kill", "-s", "KILL", "redis2")
            began = time.monotonic()
            waiting = {f"chat:lost-{number}" for number in range(12)}
            while waiting:
                self.assertLess(time.monotonic() - began, 60, f"no publication comes through: {waiting}")
                for channel in sorted(waiting):
                    # Those of the lost primary fail until another one is chosen.
                    answer = await asyncio.to_thread(self.try_to_publish, channel)
                    if answer:
                        waiting.discard(channel)
            print(f"\na primary of Redis is lost: every channel serves after {time.monotonic() - began:.0f} s")
            heard = set()
            while len(heard) < 12:
                text = await asyncio.wait_for(client.recv(), 30)
                for line in text.split("\n"):
                    push = json.loads(line).get("push", {})
                    if "pub" in push:
                        heard.add(push["channel"])
                    self.assertNotIn("disconnect", push)
                    if line == "{}":
                        await client.send("{}")
        self.up()
        self.script("check.sh")

    def try_to_publish(self, channel):
        try:
            return "result" in self.api("publish", {"channel": channel, "data": {"late": True}})
        except OSError:
            return False


del Overlay
