"""The stack as it is shipped, from one command to none left."""

import asyncio
import base64
import concurrent.futures
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest
import urllib.request

import centrifuge
import websockets

ROOT = pathlib.Path(__file__).parents[2]
ALERT_SECONDS = 120

# Panels about what did not happen yet: a counter with labels appears when it first counts.
MAY_BE_EMPTY = {
    "Ended connections, by code", "Recoveries", "Gaps and repairs", "Error replies", "Not allowed",
    "Rate limits, by scope", "Input against the protocol", "Messages between nodes that were not believed",
    "Failed trips", "Closed for being slow", "Disk left", "Share of tokens refused, expired apart",
    "Nodes that refuse what needs Redis", "Link lost", "Dropped before they were taken",
    "Error budget left, 3 d at this rate", "Server API, by key and result", "Ping and answer",
}


def compose(*arguments, ok=True, **environment):
    done = subprocess.run(
        ["docker", "compose", "--ansi", "never", *arguments],
        cwd=ROOT, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    if (done.returncode == 0) != ok:
        raise AssertionError(f"compose {arguments}: status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def secret(name):
    return compose("run", "--rm", "--no-deps", "-T", "key", name).strip().splitlines()[-1]


class Stack(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.own = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.own.chmod(0o755)
        (cls.own / "page_url").write_text("http://webhook:8080/page")
        (cls.own / "ticket_url").write_text("http://webhook:8080/ticket")
        (cls.own / "watchdog_url").write_text("http://webhook:8080/watchdog")
        os.environ["STACK_OWN"] = str(cls.own)
        # What a run that was killed left behind.
        compose("--profile", "*", "down", "-v", "--remove-orphans")
        cls.addClassCleanup(compose, "--profile", "*", "down", "-v", "--remove-orphans")
        began = time.monotonic()
        compose("up", "--detach", "--no-build", "--wait")
        cls.seconds = time.monotonic() - began
        print(f"\nup: every service is well after {cls.seconds:.0f} s")
        cls.token_key, cls.api_key = secret("token_key"), secret("api_key")
        cls.webhook = cls.start_webhook()

    @classmethod
    def start_webhook(cls):
        """Somebody who is told, where alerts leave the stack."""
        program = (
            "import http.server as h\n"
            "class A(h.BaseHTTPRequestHandler):\n"
            "  def do_POST(s):\n"
            "    print(s.path, s.rfile.read(int(s.headers['Content-Length'])).decode(), flush=True)\n"
            "    s.send_response(200); s.end_headers()\n"
            "  def log_message(s, *_): pass\n"
            "h.HTTPServer(('', 8080), A).serve_forever()\n"
        )
        command = ["docker", "run", "--detach", "--network", "sealcast_edge", "--network-alias", "webhook"]
        command += ["packages.test", "python3", "-c", program]
        container = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        cls.addClassCleanup(subprocess.run, ["docker", "rm", "-f", container], check=True, capture_output=True)
        return container

    def token(self, user, key=None):
        part = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=")  # noqa: E731
        signed = part(b'{"alg":"HS256"}') + b"." + part(json.dumps({"sub": user, "exp": int(time.time()) + 600}).encode())
        signature = hmac.new((key or self.token_key).encode(), signed, hashlib.sha256).digest()
        return (signed + b"." + part(signature)).decode()

    def api(self, method, body):
        headers = {"X-API-Key": self.api_key, "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:8000/api/{method}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def wait_for_alert(self, name, began):
        """Until the webhook was told that it fires."""
        while time.monotonic() - began < ALERT_SECONDS:
            told = subprocess.run(["docker", "logs", self.webhook], check=True, capture_output=True, text=True).stdout
            for line in told.splitlines():
                path, _, body = line.partition(" ")
                if body and path != "/watchdog" and any(
                    alert["labels"]["alertname"] == name and alert["status"] == "firing"
                    for alert in json.loads(body)["alerts"]
                ):
                    print(f"\n{name}: the webhook was told after {time.monotonic() - began:.0f} s")
                    return
            time.sleep(1)
        self.fail(f"{name}: nobody was told within {ALERT_SECONDS} s\n{told[-3000:]}")

    def check(self):
        self.script("check.sh")

    # In this order: the last ones disturb.

    def test_1_all_is_well(self):
        self.check()
        self.assertIn("localhost:8000", compose("logs", "--no-log-prefix", "where"))

    def test_2_the_sdk_through_the_load_balancer(self):
        asyncio.run(self.sdk())

    async def sdk(self):
        heard = [asyncio.Event() for _ in range(9)]

        class Hears(centrifuge.SubscriptionEventHandler):
            def __init__(self, event):
                self.event = event

            async def on_publication(self, _):
                self.event.set()

        clients = []
        for number, event in enumerate(heard):
            client = centrifuge.Client("ws://127.0.0.1:8000/connection/websocket", token=self.token(f"sdk{number}"))
            subscription = client.new_subscription("chat:sdk", Hears(event))
            await client.connect()
            await subscription.subscribe()
            await subscription.ready(10)
            clients.append(client)
        # Nodes tell each other every few seconds.
        for _ in range(30):
            counts = [node["num_clients"] for node in self.api("info", {})["result"]["nodes"]]
            if counts == [3, 3, 3]:
                break
            await asyncio.sleep(0.5)
        self.assertEqual(counts, [3, 3, 3])
        self.api("publish", {"channel": "chat:sdk", "data": {"text": "to all three"}})
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in heard)), 10)
        for client in clients:
            await client.disconnect()

    def test_3_every_panel_shows_something_under_load(self):
        login = base64.b64encode(f"admin:{secret('grafana_password')}".encode()).decode()
        # k6 for a minute, and somebody who writes.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            load = pool.submit(compose, "--profile", "load", "run", "--rm", "--no-deps", "k6", "/load-tests/reconnect.js")
            asyncio.run(self.write(45))
            empty = self.empty_panels({"Authorization": f"Basic {login}", "Content-Type": "application/json"})
            load.result()
        self.assertEqual(empty - MAY_BE_EMPTY, set())

    async def write(self, seconds):
        """A person who writes once a second."""
        client = centrifuge.Client("ws://127.0.0.1:8000/connection/websocket", token=self.token("writer"))
        subscription = client.new_subscription("chat:panels")
        await client.connect()
        await subscription.subscribe()
        await subscription.ready(10)
        for number in range(seconds):
            await subscription.publish({"n": number})
            await asyncio.sleep(1)
        await client.disconnect()

    def empty_panels(self, headers):
        empty, asked = set(), 0
        for path in (ROOT / "deploy/grafana/dashboards").glob("*.json"):
            board = self.grafana(f"/api/dashboards/uid/{json.loads(path.read_text())['uid']}", headers)["dashboard"]
            for panel in board["panels"]:
                for target in panel["targets"]:
                    expression = target["expr"]
                    for name, value in {"$__rate_interval": "1m", "$job": "sealcast", "$instance": ".*"}.items():
                        expression = expression.replace(name, value)
                    query = {**target, "expr": expression}
                    result = self.grafana("/api/ds/query", headers, {"queries": [query]})["results"][target["refId"]]
                    self.assertNotIn("error", result, panel["title"])
                    asked += 1
                    if not result["frames"]:
                        empty.add(panel["title"])
        print(f"\npanels: {asked} queries, without data: {sorted(empty)}")
        return empty

    @staticmethod
    def grafana(path, headers, body=None):
        data = json.dumps(body).encode() if body else None
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:3000{path}", data, headers), timeout=20) as answer:
            return json.load(answer)

    def test_4_forged_tokens_and_strange_pages_are_told(self):
        began = time.monotonic()
        asyncio.run(self.forge())
        for _ in range(70):
            connection = http.client.HTTPConnection("127.0.0.1", 8000)
            connection.request("GET", "/connection/websocket", headers={
                "Origin": "https://evil.example", "Connection": "Upgrade", "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            })
            self.assertEqual(connection.getresponse().status, 403)
            connection.close()
        self.wait_for_alert("TokenForgeryAttempt", began)

    async def forge(self):
        forged = self.token("eve", "k" * 32)
        for _ in range(40):
            async with websockets.connect("ws://127.0.0.1:8000/connection/websocket") as socket:
                await socket.send(json.dumps({"id": 1, "connect": {"token": forged}}))
                with contextlib.suppress(websockets.ConnectionClosed):
                    self.assertNotIn("client", json.loads(await socket.recv()).get("connect", {}))

    def test_5_a_node_that_is_killed_is_told_and_comes_back(self):
        began = time.monotonic()
        compose("kill", "-s", "KILL", "node2")
        self.wait_for_alert("NodeDown", began)
        compose("up", "--detach", "--no-build", "--wait")

    def test_6_another_version_and_back(self):
        files = [ROOT / ".env", ROOT / "deploy/.before"]
        for path in files:
            self.assertFalse(path.exists(), f"{path} is somebody's")
            self.addCleanup(path.unlink, missing_ok=True)
        subprocess.run(["docker", "tag", "sealcast:0.1.0", "sealcast:0.1.1-test"], check=True)
        self.assertIn("no image", self.script("roll.sh", "0.0.0-none", status=1))
        for script, version in (("roll.sh", ["0.1.1-test"]), ("rollback.sh", [])):
            began = time.monotonic()
            self.assertIn("every node was replaced", self.script(script, *version))
            print(f"\n{script}: three nodes after {time.monotonic() - began:.0f} s")
            images = compose("ps", "--format", "{{.Image}}", "node1", "node2", "node3").split()
            self.assertEqual(set(images), {"sealcast:" + (version or ["0.1.0"])[0]})

    def script(self, name, *arguments, status=0):
        done = subprocess.run(
            [ROOT / "deploy" / name, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def test_7_bad_input_is_told_and_nothing_starts_weaker(self):
        compose("stop", "node1", "node2", "node3", "haproxy", "redis")
        (self.own / "tls.pem").write_text("no certificate")
        told = compose("up", "--detach", "--no-build", "--wait", ok=False)
        self.assertIn("init", told)
        self.assertIn("no certificate that is good", compose("logs", "init"))
        running = compose("ps", "--services", "--status", "running").split()
        self.assertFalse({"node1", "node2", "node3", "haproxy"} & set(running), running)
        (self.own / "tls.pem").unlink()
        compose("up", "--detach", "--no-build", "--wait")

    def test_8_nothing_is_left(self):
        compose("--profile", "*", "down", "-v")
        left = subprocess.run(
            ["docker", "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project=sealcast"],
            check=True, capture_output=True, text=True,
        ).stdout
        volumes = subprocess.run(["docker", "volume", "ls", "--quiet"], check=True, capture_output=True, text=True).stdout
        self.assertEqual(left, "")
        self.assertFalse(re.findall(r"^sealcast_", volumes, re.MULTILINE))
