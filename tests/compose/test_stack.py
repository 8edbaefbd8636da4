"""The stack from one command to none left: clients, dashboards, alerts, other versions."""

import asyncio
import base64
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time

import centrifuge
import pictures
import websockets
from stack import REPOSITORY, Stack, left

ALERT_SECONDS = 120
URL = "ws://127.0.0.1:8000/connection/websocket"


class TestStack(Stack):
    def wait_for_alert(self, name, began):
        while time.monotonic() - began < ALERT_SECONDS:
            if self.was_told(name):
                print(f"\n{name}: the webhook was told after {time.monotonic() - began:.0f} s")
                return
            time.sleep(1)
        self.fail(f"{name}: nobody was told within {ALERT_SECONDS} s")

    # In this order: each leaves the stack as the next needs it.

    def test_1_all_is_well(self):
        print(f"\nup: a fresh clone serves after {self.seconds:.0f} s")
        self.script("check.sh")
        self.assertIn("localhost:8000", self.compose("logs", "--no-log-prefix", "where"))

    def test_2_the_python_sdk_through_the_load_balancer(self):
        asyncio.run(self.python_sdk())

    async def python_sdk(self):
        heard = [asyncio.Event() for _ in range(9)]

        class Hears(centrifuge.SubscriptionEventHandler):
            def __init__(self, event):
                self.event = event

            async def on_publication(self, _):
                self.event.set()

        clients = []
        for number, event in enumerate(heard):
            client = centrifuge.Client(URL, token=self.token(f"sdk{number}"))
            subscription = client.new_subscription("chat:sdk", Hears(event))
            await client.connect()
            await subscription.subscribe()
            await subscription.ready(10)
            clients.append(client)
        self.assert_at_three_nodes()
        self.api("publish", {"channel": "chat:sdk", "data": {"text": "to all three"}})
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in heard)), 10)
        for client in clients:
            await client.disconnect()

    def test_2_the_javascript_sdk_through_the_load_balancer(self):
        self.wait_for_shares([0, 0, 0])
        environment = {
            **os.environ,
            "NODE_PATH": str(REPOSITORY / "tests/sdk/node_modules"),
            "URL": URL,
            "TOKENS": json.dumps([self.token(f"js{number}") for number in range(9)]),
        }
        program = REPOSITORY / "tests/compose/sdk.cjs"
        with subprocess.Popen(["node", program], env=environment, stdout=subprocess.PIPE, text=True) as sdk:
            self.assertEqual(sdk.stdout.readline(), "subscribed\n")
            self.assert_at_three_nodes()
            self.api("publish", {"channel": "chat:sdk", "data": {"text": "to all three"}})
            self.assertEqual(sdk.wait(60), 0)

    def assert_at_three_nodes(self):
        self.wait_for_shares([3, 3, 3])

    def wait_for_shares(self, expected):
        end = time.monotonic() + 20
        while (shares := self.shares()) != expected and time.monotonic() < end:
            time.sleep(0.5)
        self.assertEqual(shares, expected)

    def test_3_forged_tokens_and_strange_pages_are_told(self):
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
        self.assertIn("TokenForgeryAttempt", self.script("check.sh", status=1))

    async def forge(self):
        forged = self.token("eve", "k" * 32)
        for _ in range(40):
            async with websockets.connect(URL) as client:
                await client.send(json.dumps({"id": 1, "connect": {"token": forged}}))
                with contextlib.suppress(websockets.ConnectionClosed):
                    self.assertNotIn("client", json.loads(await client.recv()).get("connect", {}))

    # Clients that are refused hundreds of times a second, sent away, and come again.
    def test_4_a_flood_is_told(self):
        began = time.monotonic()
        over = threading.Event()
        flood = threading.Thread(target=lambda: asyncio.run(self.flood(over)))
        flood.start()
        try:
            self.wait_for_alert("Flood", began)
        finally:
            over.set()
            flood.join()

    async def flood(self, over):
        async def one(number):
            while not over.is_set():
                with contextlib.suppress(websockets.ConnectionClosed, OSError):
                    async with websockets.connect(URL) as client:
                        await client.send(json.dumps({"id": 1, "connect": {"token": self.token(f"mallory{number}")}}))
                        await client.recv()
                        for command in range(2, 150):
                            await client.send(json.dumps({"id": command, "presence": {"channel": "chat:panels"}}))
                        async for _ in client:
                            pass
                await asyncio.sleep(0.5)

        await asyncio.gather(*(one(number) for number in range(6)))

    def test_5_a_node_that_is_killed_is_told_and_comes_back(self):
        began = time.monotonic()
        self.compose("kill", "-s", "KILL", "node2")
        self.wait_for_alert("NodeDown", began)
        self.up()

    def test_5_a_certificate_that_ends_soon_is_told(self):
        given = self.own / "tls.pem"
        made = self.run_there(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", self.own / "key", "-out", given,
        )
        self.assertEqual(made.returncode, 0, made.stdout)
        given.write_text(given.read_text() + (self.own / "key").read_text())
        given.chmod(0o644)
        began = time.monotonic()
        self.up()
        self.compose("restart", "haproxy")
        self.wait_for_alert("CertExpiryCritical", began)
        # What is always said came, too, or somebody outside would ring.
        self.assertTrue(self.was_told("Watchdog", "/watchdog"))
        given.unlink()
        self.up()
        self.compose("restart", "haproxy")

    def test_6_every_panel_shows_something(self):
        login = base64.b64encode(f"admin:{self.secret('grafana_password')}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        boards = [json.loads(path.read_text()) for path in sorted((self.root / "deploy/grafana/dashboards").glob("*.json"))]
        asyncio.run(self.mischief())
        asyncio.run(self.redis_is_away())
        # k6 for a minute, and somebody who writes.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            load = pool.submit(self.compose, "--profile", "load", "run", "--rm", "--no-deps", "k6", "/load-tests/reconnect.js")
            asyncio.run(self.write(60))
            panels = pictures.asked(headers, [board["uid"] for board in boards])
            load.result()
        everything = [panel for panels_of_one in panels.values() for panel in panels_of_one]
        empty = {panel["title"] for panel in everything if panel["empty"]}
        print(f"\npanels: {len(everything)}, without data: {sorted(empty)}")
        pictures.draw(left("dashboards"), boards, panels)
        self.assertEqual(empty, set())

    async def mischief(self):
        """What is refused or ended for a fault, so that there is something to be shown."""
        async with websockets.connect(URL) as client:
            await client.send(json.dumps({"id": 1, "connect": {"token": self.token("mischief")}}))
            await client.send('{"id":2,"subscribe":{"channel":"feed:slow"}}\n{"id":3,"publish":{"channel":"feed:slow","data":{}}}')
            while '"id":3' not in await client.recv():
                pass
            await client.send("no JSON")
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await client.recv()
        await asyncio.get_running_loop().run_in_executor(None, self.slow_reader)

    async def redis_is_away(self):
        """First it hangs, so that trips fail; then it is started again, so that nodes look for gaps."""
        def publish(_):
            with contextlib.suppress(OSError):
                self.api("publish", {"channel": "chat:gaps", "data": {}})

        async with websockets.connect(URL) as client:
            await client.send(json.dumps({"id": 1, "connect": {"token": self.token("listener")}}))
            await client.send(json.dumps({"id": 2, "subscribe": {"channel": "chat:gaps"}}))
            while '"id":2' not in await client.recv():
                pass
            self.compose("pause", "redis")
            with concurrent.futures.ThreadPoolExecutor(60) as pool:
                list(pool.map(publish, range(120)))
            self.compose("unpause", "redis")
            self.compose("restart", "redis")
            # Nodes that are not ready are out of balance for a moment.
            end = time.monotonic() + 60
            while self.ready_nodes() != 3:
                self.assertLess(time.monotonic(), end, "not every node is ready again")
                await asyncio.sleep(1)

    def ready_nodes(self):
        query = "http://127.0.0.1:9090/api/v1/query?query=sum(haproxy_server_status%7Bproxy=%22nodes%22,state=%22UP%22%7D)"
        told = self.compose("exec", "-T", "prometheus", "wget", "-q", "-O", "-", query)
        return int(json.loads(told)["data"]["result"][0]["value"][1])

    def slow_reader(self):
        """Subscribes and never reads, until the node has sent it away."""
        with socket.create_connection(("127.0.0.1", 8000)) as stream:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stream.sendall(
                b"GET /connection/websocket HTTP/1.1\r\nHost: localhost:8000\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            for command in ({"connect": {"token": self.token("slow")}}, {"subscribe": {"channel": "feed:slow"}}):
                text = json.dumps({"id": 1 + ("subscribe" in command), **command}).encode()
                # A masked frame, with zeros for a mask.
                stream.sendall(b"\x81\xfe" + len(text.ljust(126)).to_bytes(2, "big") + bytes(4) + text.ljust(126))
            time.sleep(1)
            for number in range(400):
                self.api("publish", {"channel": "feed:slow", "data": {"n": number, "text": "x" * 60000}})

    async def write(self, seconds):
        """A person who writes once a second."""
        client = centrifuge.Client(URL, token=self.token("writer"))
        subscription = client.new_subscription("chat:panels")
        await client.connect()
        await subscription.subscribe()
        await subscription.ready(10)
        for number in range(seconds):
            await subscription.publish({"n": number})
            await asyncio.sleep(1)
        await client.disconnect()

    def test_7_nothing_is_left(self):
        self.end_webhook()
        self.compose("down", "-v")
        for kind in (["ps", "--all"], ["network", "ls"], ["volume", "ls"]):
            found = subprocess.run(
                ["docker", *kind, "--quiet", "--filter", "label=com.docker.compose.project=sealcast"],
                check=True, capture_output=True, text=True,
            ).stdout
            self.assertEqual(found, "", kind)
        self.assertFalse(re.findall(r"^\?\? ", self.run_there("git", "status", "--short").stdout, re.MULTILINE))
