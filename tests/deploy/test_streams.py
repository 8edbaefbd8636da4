"""Every transport through both load balancers, as deploy/ configures them."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time
import unittest

from cluster import Cluster, wait_until
from transports import PATIENCE, STREAMS, TRANSPORTS, UNIDIRECTIONAL, Listener, Refused, ask, opening, query

ROOT = pathlib.Path(__file__).parents[2]
ORIGIN = "https://localhost:8443"
EVIL = ["https://evil.example", "null", "", "http://localhost:8443", "https://localhost", "https://localhost:8443.evil.example",
        "https://evil-localhost:8443", "https://sub.localhost:8443", "https://localhost:8443@evil.example"]
FORGED = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9",
          "X-Forwarded-Proto": "https", "True-Client-IP": "203.0.113.9", "CF-Connecting-IP": "203.0.113.9"}
# Of each node; a crowd of streams is less than this, and one node's worth is less than the crowd.
STREAMS_OF_A_NODE = 30
# More than the load balancers wait for silent clients (30 s).
REST_SECONDS = 35
SETTLE_SECONDS = 60
ENABLED = {f"SEALCAST_{name.upper()}_ENABLED": "true" for name in (*STREAMS, "uni_websocket")}
NODE = {
    **ENABLED,
    "SEALCAST_LIMITS_SSE_CONNECTIONS": str(STREAMS_OF_A_NODE),
    # The official JavaScript SDK, and EventSource, put their connect request into the query.
    "SEALCAST_COMPAT_SSE_TOKEN_IN_URL": "true",
    "SEALCAST_SHUTDOWN_LB_WAIT": "3s",
    "SEALCAST_SHUTDOWN_SPREAD": "2s",
}


class Through:
    """What holds for either load balancer."""

    balancer = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(cls.balancer, node=NODE))

    def setUp(self):
        self.wait_until_all_are_gone(PATIENCE)

    def wait_until_all_are_gone(self, seconds):
        gone = lambda: not any(node.metric("sealcast_connections") for node in self.cluster.nodes)
        wait_until(gone, "all are gone", seconds)

    def listener(self, transport, channel="feed:news", **more):
        token = self.cluster.token(f"{transport}-{random.getrandbits(32):x}")
        listener = Listener(self.cluster.port, transport, token, channel, **more)
        self.addCleanup(listener.close)
        return listener

    def publish(self, data, channel="feed:news"):
        self.cluster.api("publish", {"channel": channel, "data": data})

    def test_what_is_said_comes_at_once(self):
        for transport in TRANSPORTS:
            with self.subTest(transport):
                # Sooner than the next sign of life, which would push on what a buffer holds.
                listener = self.listener(transport, patience=10)
                for n in range(3):
                    self.publish({"n": n})
                    self.assertEqual(listener.next()["pub"]["data"], {"n": n})
                if transport in STREAMS:
                    self.assertIn("no-store", listener.head["cache-control"])
                    self.assertEqual(listener.head.get("transfer-encoding"), "chunked")
                listener.close()

    def test_a_client_that_goes_is_gone_at_once(self):
        for transport in TRANSPORTS:
            self.listener(transport, "cursors:quiet").close()
        # Sooner than a node next has something to say to it.
        self.wait_until_all_are_gone(10)

    def test_what_clients_say_reaches_them_whichever_node_gets_it(self):
        for transport in ("websocket", "sse", "http_stream"):
            with self.subTest(transport):
                listener = self.listener(transport, f"chat:{transport}")
                for n in range(20):
                    listener.say({"id": 10 + n, "publish": {"channel": f"chat:{transport}", "data": n}})
                said = [listener.next() for _ in range(40)]
                self.assertEqual([each["id"] for each in said if "id" in each], list(range(10, 30)))
                self.assertEqual([each["pub"]["data"] for each in said if "pub" in each], list(range(20)))
                listener.close()

    def test_signs_of_life_keep_it_open(self):
        with concurrent.futures.ThreadPoolExecutor(len(TRANSPORTS)) as pool:
            listeners = {transport: self.listener(transport, "cursors:quiet") for transport in TRANSPORTS}
            hearing = {transport: pool.submit(listener.next) for transport, listener in listeners.items()}
            time.sleep(REST_SECONDS)
            self.assertEqual([transport for transport, heard in hearing.items() if heard.done()], [], "they were cut")
            self.publish("what comes behind a silence", "cursors:quiet")
            for transport, heard in hearing.items():
                self.assertEqual(heard.result(PATIENCE)["pub"]["data"], "what comes behind a silence", transport)

    def test_pages_of_other_origins_are_let_in_nowhere(self):
        token = self.cluster.token("ada")
        for transport in TRANSPORTS:
            connect = {"token": token} if transport in UNIDIRECTIONAL else {"id": 1, "connect": {"token": token}}
            for origin in EVIL:
                with self.subTest(transport, origin=origin):
                    status, head, _ = self.ask(*opening(transport, connect, {"Origin": origin}))
                    self.assertEqual((status, head.get("access-control-allow-origin")), (403, None))
            status, head, _ = self.ask(*opening(transport, connect, {"Origin": ORIGIN}))
            if transport in STREAMS:
                self.assertEqual((status, head["access-control-allow-origin"]), (200, ORIGIN), transport)
                self.assertEqual(head["access-control-allow-credentials"], "true")
            else:
                self.assertEqual(status, 101, transport)
        # Somebody's cookie without a page that is named.
        status, _, _ = self.ask(*opening("sse", {}, {"Cookie": "session=1"}))
        self.assertEqual(status, 403)

    def test_browsers_are_told_which_pages_may_ask(self):
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        for path in (*(f"/connection/{name}" for name in STREAMS), "/emulation"):
            with self.subTest(path):
                status, head, _ = self.ask("OPTIONS", path, None, {"Origin": ORIGIN, **asked})
                self.assertEqual((status, head["access-control-allow-origin"]), (204, ORIGIN))
                self.assertEqual(head["access-control-max-age"], "300")
                for origin in EVIL:
                    status, head, _ = self.ask("OPTIONS", path, None, {"Origin": origin, **asked})
                    self.assertEqual((status, head.get("access-control-allow-origin")), (403, None), origin)

    def test_who_the_client_is_comes_from_the_socket_alone(self):
        before = [len(node.log()) for node in self.cluster.nodes]
        for transport in TRANSPORTS:
            headers = {**FORGED, "Origin": "https://evil.example"}
            status, _, _ = self.ask(*opening(transport, {}, headers), source=("127.5.6.7", 0))
            self.assertEqual(status, 403, transport)
        logs = [node.log()[length:] for node, length in zip(self.cluster.nodes, before)]
        lines = [json.loads(line) for log in logs for line in log.splitlines() if "handshake_refused" in line]
        self.assertEqual({line.get("address") or line["fields"]["address"] for line in lines}, {"127.5.6.0/24"})
        self.assertEqual(len(lines), len(TRANSPORTS))

    def test_a_session_is_of_who_opened_its_stream(self):
        for transport in ("sse", "http_stream"):
            with self.subTest(transport):
                mine = {"Origin": ORIGIN, "Cookie": "session=1"}
                listener = self.listener(transport, headers=mine)
                body = json.dumps({**listener._session, "data": "{}"})
                for headers in ({"Origin": ORIGIN}, {"Origin": ORIGIN, "Cookie": "session=2"},
                                {"Origin": "http://localhost:8000", "Cookie": "session=1"}, {}):
                    status, _, _ = self.ask("POST", "/emulation", body, {"Content-Type": "application/json", **headers})
                    self.assertEqual(status, 404, headers)
                status, _, _ = self.ask("POST", "/emulation", body, {"Content-Type": "application/json", **mine})
                self.assertEqual(status, 204)
                listener.close()

    def test_nobody_gets_an_answer_to_what_somebody_else_hid(self):
        hidden = b"GET /connection/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for path in (*(f"/connection/{name}" for name in STREAMS), "/emulation"):
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
            chunks = b"2\r\n{}\r\n0\r\n\r\n"
            for trick in (
                b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + hidden,
                b"Content-Length: 2\r\nContent-Length: 60\r\n\r\n{}" + hidden,
                b"Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}" + hidden,
                b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 2\r\n\r\n{}" + hidden,
                b"Transfer-Encoding: chunked\r\n\r\n2;a=\n{}\r\n0\r\n\r\n" + hidden,
                b"Content-Length: +2\r\n\r\n{}" + hidden,
                b"Content-Length : 2\r\n\r\n{}" + hidden,
            ):
                with self.subTest(path, trick=trick[:40]), socket.create_connection(("127.0.0.1", self.cluster.port)) as stream:
                    stream.sendall(head + trick)
                    for _ in range(4):
                        self.assertEqual(self.ask("GET", "/health")[0], 200)

    def test_a_payload_is_one_event_whatever_is_in_it(self):
        payload = {"text": "a\r\n\r\ndata: b\rid: 7\nevent: c\u0000\ufeff\u2028\u2029"}
        for transport in ("sse", "uni_sse"):
            listener = self.listener(transport)
            self.publish(payload)
            self.assertEqual(listener.next()["pub"]["data"], payload)
            self.publish("next")
            self.assertEqual(listener.next()["pub"]["data"], "next")
            listener.close()

    def test_a_position_tells_nothing_of_what_may_not_be_read(self):
        self.publish("before", "cursors:secret")
        for position in ("0:x", "18446744073709551615:foreign", "1:"):
            with self.subTest(position):
                headers = {"Last-Event-ID": f"{position}:cursors:secret {position}:unknown:room"}
                told = self.first_event({"token": self.cluster.token("eve")}, headers)
                text = json.dumps(told)
                self.assertNotIn("before", text)
                for name in ("offset", "epoch"):
                    self.assertNotIn(f'"{name}"', text)

    def test_who_was_sent_away_for_good_stays_away(self):
        status, _, _ = self.ask("GET", "/connection/uni_sse", None, {"Last-Event-ID": "over"})
        self.assertEqual(status, 204)

    def test_one_stream_too_many_is_told_when_to_come_back(self):
        most = 3 * STREAMS_OF_A_NODE
        with contextlib.ExitStack() as stack:
            for number in range(1, most + 2):
                try:
                    token = self.cluster.token(f"crowd{number}")
                    stack.enter_context(contextlib.closing(Listener(self.cluster.port, "uni_sse", token, "feed:news")))
                except Refused as refused:
                    self.assertEqual(refused.status, 503)
                    self.assertIn(int(refused.headers["retry-after"]), range(1, 61))
                    break
            else:
                self.fail(f"{most + 1} streams on three nodes that take {STREAMS_OF_A_NODE} each")
            self.assertGreater(number, STREAMS_OF_A_NODE)
            # WebSockets have places of their own.
            self.listener("websocket").close()

    def test_browsers_get_streams_over_http2(self):
        connect = json.dumps({"token": self.cluster.token("ada"), "subs": {"feed:news": {}}})
        reading = subprocess.Popen(
            ["curl", "-N", "-s", "-i", "--http2", "--cacert", self.cluster.secrets / "lb/tls.pem", "-H", "Content-Type: application/json", "-d", connect,
             f"https://localhost:{self.cluster.tls_port}/connection/uni_sse"],
            stdout=subprocess.PIPE, text=True,
        )
        self.addCleanup(reading.wait)
        self.addCleanup(reading.kill)
        guard = threading.Timer(PATIENCE, reading.kill)
        guard.start()
        self.addCleanup(guard.cancel)
        lines = iter(reading.stdout.readline, "")
        self.assertTrue(next(lines).startswith("HTTP/2 200"))
        events = filter(None, (json.loads(line[6:]) for line in lines if line.startswith("data: ")))
        self.assertIn("feed:news", next(events)["connect"]["subs"])
        for n in range(3):
            self.publish(n)
            self.assertEqual(next(events)["pub"]["data"], n)
        reading.kill()
        reading.stdout.close()

    def ask(self, *request, **more):
        return ask(self.cluster.port, *request, **more)

    def first_event(self, connect, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.cluster.port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", f"/connection/uni_sse?{query(connect)}", headers=headers)
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        while not (line := answer.readline()).startswith(b"data: "):
            self.assertTrue(line, "the stream ended")
        return json.loads(line[6:])


class HAProxy(Through, unittest.TestCase):
    balancer = "haproxy"


class Nginx(Through, unittest.TestCase):
    balancer = "nginx"


class Disturbed:
    """Clients of every transport listen while something restarts, and miss nothing."""

    balancer = None
    each = 3
    transports = 5

    def setUp(self):
        self.seed = int(os.environ.get("FAULT_SEEDS", "0").split(",")[0]) or random.getrandbits(32)
        print(f"FAULT_SEEDS={self.seed}", flush=True)
        self.chance = random.Random(self.seed)

    def disturb(self, disturbance):
        with Cluster(self.balancer, node=NODE) as cluster, Crowd(cluster, self.each, self.transports) as crowd:
            crowd.wait_until(crowd.all_here, "all listen")
            stop, published = threading.Event(), []
            publishing = threading.Thread(target=publish_numbers, args=(cluster, stop, published))
            publishing.start()
            try:
                time.sleep(1 + self.chance.random())
                disturbance(cluster)
                crowd.wait_until(crowd.all_here, "all are back")
                time.sleep(1)
            finally:
                stop.set()
                publishing.join()
            # Everybody is there again, so what is said last comes to everybody.
            crowd.wait_until(lambda: crowd.all_heard(published[-1]), "all hear the last")
            self.assertGreater(len(published), 20)
            for client, numbers in crowd.numbers.items():
                self.assertEqual(numbers, published, client)
            self.assertEqual(crowd.lost, [], "told that something was lost")
            self.assertGreater(crowd.left, 0, "nobody was disturbed")

    def test_a_node_leaves_and_comes_back(self):
        def leave(cluster):
            index = self.chance.randrange(3)
            cluster.nodes[index].kill(signal.SIGTERM)
            cluster.nodes[index].wait()
            cluster.restart(index)

        self.disturb(leave)

    def test_a_node_is_killed_and_comes_back(self):
        def die(cluster):
            index = self.chance.randrange(3)
            cluster.nodes[index].kill()
            cluster.nodes[index].wait()
            cluster.restart(index)

        self.disturb(die)

    def test_the_load_balancer_is_restarted(self):
        self.disturb(Cluster.restart_balancer)


class DisturbedHAProxy(Disturbed, unittest.TestCase):
    balancer = "haproxy"


class DisturbedNginx(Disturbed, unittest.TestCase):
    balancer = "nginx"


class Crowd:
    """The clients of tests/sdk/listeners.js."""

    def __init__(self, cluster, each, transports):
        self.numbers, self.lost, self.left = {}, [], 0
        self._here, self._count = set(), each * transports
        options = {
            "http": f"http://127.0.0.1:{cluster.port}",
            "tokens": [cluster.token(f"user{n}") for n in range(self._count)],
            "channel": "feed:news",
            "each": each,
        }
        command = ["node", ROOT / "tests/sdk/listeners.js", json.dumps(options)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._reading.join()
        self._process.stdin.close()
        self._process.stdout.close()

    def all_here(self):
        return len(self._here) == self._count

    def all_heard(self, number):
        return len(self.numbers) == self._count and all(heard[-1] >= number for heard in self.numbers.values())

    def wait_until(self, condition, what):
        end = time.monotonic() + SETTLE_SECONDS
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: here are {sorted(self._here)}")
            time.sleep(0.1)

    def _read(self):
        for line in self._process.stdout:
            told = json.loads(line)
            client = told["client"]
            if "n" in told:
                self.numbers.setdefault(client, []).append(told["n"])
            elif told["here"]:
                self._here.add(client)
                if told["lost"]:
                    self.lost.append(client)
            elif client in self._here:
                self._here.discard(client)
                self.left += 1


def publish_numbers(cluster, stop, published):
    """20 a second; a call that is not answered is made again with the same key, as a backend would."""
    number = 0
    while not stop.is_set():
        number += 1
        body = {"channel": "feed:news", "data": {"n": number}, "idempotency_key": f"n{number}"}
        for _ in range(400):
            with contextlib.suppress(OSError, RuntimeError, http.client.HTTPException):
                if "result" in cluster.api("publish", body):
                    break
            time.sleep(0.1)
        else:
            raise RuntimeError("nothing can be published")
        published.append(number)
        time.sleep(0.05)
