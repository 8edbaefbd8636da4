"""What the load balancer lets through to a node, and what it keeps to itself."""

import json
import select
import socket
import ssl
import unittest

from cluster import get, wait_until
from echo import Balancer

SECRET = "eyJhbGciOi-a-token-in-a-query"


def exchange(port, request, tls=None):
    """The answer to these bytes: status, headers by name in lower case, body."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with tls.wrap_socket(plain, server_hostname="localhost") if tls else plain as stream:
            stream.sendall(request)
            data = b""
            while b"\r\n\r\n" not in data:
                data += (got := stream.recv(65536))
                if not got:
                    return 0, {}, b""
            head, _, body = data.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:])
            while len(body) < int(headers.get("content-length", 0)):
                body += (got := stream.recv(65536))
                if not got:
                    break
            return int(lines[0].split()[1]), headers, body


def request(*headers, path="/", method="GET"):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def passed_on(body):
    """The headers that a node got, as a list of (name in lower case, value)."""
    lines = json.loads(body)["head"][1:]
    return [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]


class Hygiene:
    """What holds for either load balancer."""

    balancer: str
    # Headers that nobody reads, and that are passed on.
    harmless = set()
    # How the log tells a path with an escaped line feed.
    line_feed: str

    @classmethod
    def setUpClass(cls):
        cls.lb = cls.enterClassContext(Balancer(cls.balancer))
        cls.tls = ssl.create_default_context(cafile=cls.lb.certificate)

    def ask(self, *headers, **more):
        return exchange(self.lb.port, request(*headers, **more))

    def test_who_the_client_is_comes_from_the_socket_alone(self):
        forged = ["X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 7.7.7.7, 8.8.8.8", "X-Real-IP: 6.6.6.6",
                  "Forwarded: for=6.6.6.6", "X-Forwarded-Host: evil", "X-Forwarded-Proto: https",
                  "X-Forwarded-Anything: 1", "True-Client-IP: 6.6.6.6", "CF-Connecting-IP: 6.6.6.6",
                  "X-Client-IP: 6.6.6.6", "X-User-ID: root", "Via: 6.6.6.6", "X-Original-URL: /admin"]
        status, _, body = self.ask(*forged)
        self.assertEqual(status, 200)
        got = passed_on(body)
        self.assertEqual([v for n, v in got if n == "x-forwarded-for"], ["127.0.0.1"])
        self.assertEqual([v for n, v in got if n == "x-forwarded-proto"], ["http"])
        self.assertEqual({n for n, _ in got} - self.harmless, {"host", "x-forwarded-for", "x-forwarded-proto"})

    def test_a_client_cannot_have_the_next_hop_remove_a_header(self):
        for header in ("Connection: close, X-Forwarded-For", "Connection: x-forwarded-for",
                       "Connection: keep-alive,cookie"):
            self.assertEqual(self.ask(header)[0], 400, header)
        status, _, body = self.ask("Connection: close", "Connection: X-Forwarded-For")
        self.assertTrue(status == 400 or "x-forwarded-for" in dict(passed_on(body)))
        for header in ("Connection: keep-alive", "Connection: close", "Connection:  Keep-Alive , close"):
            self.assertEqual(self.ask(header)[0], 200, header)

    def test_only_websocket_upgrades(self):
        upgrade = ["Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        self.assertEqual(self.ask(*upgrade, "Upgrade: h2c", "Sec-WebSocket-Version: 13")[0], 400)
        self.assertEqual(self.ask(*upgrade, "Upgrade: websocket, h2c", "Sec-WebSocket-Version: 13")[0], 400)

    def test_requests_that_two_could_read_differently(self):
        self.assertEqual(self.ask("Content-Length: 1", "Content-Length: 2", method="POST")[0], 400)
        self.assertIn(self.ask("Transfer-Encoding: xchunked", method="POST")[0], (400, 501))
        self.assertEqual(self.ask("Host: other")[0], 400)
        self.assertEqual(self.ask("X-A: 1\r\n folded: 2", "Content-Length : 3")[0], 400)
        for method in ("TRACE", "PUT", "DELETE", "PROPFIND"):
            self.assertEqual(self.ask(method=method)[0], 405, method)
        # With both, only the chunks count, and a node never sees the length.
        status, _, body = exchange(
            self.lb.port,
            request("Content-Length: 4", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n",
        )
        if status != 400:
            self.assertNotIn("content-length", [name for name, _ in passed_on(body)])

    def test_what_is_never_public(self):
        for path in ("/metrics", "/metrics/x", "/admin", "/admin/users", "/debug/pprof"):
            self.assertEqual(self.ask(path=path)[0], 404, path)

    def test_the_cookie_ends_at_the_load_balancer(self):
        status, headers, body = self.ask()
        cookie = headers["set-cookie"]
        self.assertEqual(status, 200)
        self.assertTrue(cookie.startswith("sealcast_lb="))
        self.assertIn("httponly", cookie)
        self.assertIn("samesite=lax", cookie)
        self.assertNotIn("secure", cookie)
        value = cookie.split(";")[0]
        self.assertNotIn("node", value.lower())
        _, again, body = self.ask(f"Cookie: {value}; theme=dark")
        self.assertEqual([v for n, v in passed_on(body) if n == "cookie"], ["theme=dark"])
        # A node asks whoever brings a cookie for an origin: a program that keeps ours has none.
        _, again, body = self.ask(f"Cookie: {value}")
        self.assertNotIn("cookie", [name for name, _ in passed_on(body)])
        self.assertNotIn("set-cookie", again)

    def test_over_tls(self):
        status, headers, body = exchange(self.lb.tls_port, request(), self.tls)
        self.assertEqual(status, 200)
        self.assertIn("; secure", headers["set-cookie"])
        self.assertIn("max-age=31536000", headers["strict-transport-security"])
        self.assertEqual([v for n, v in passed_on(body) if n == "x-forwarded-proto"], ["https"])
        self.assertNotIn("strict-transport-security", self.ask()[1])

    def test_no_old_tls(self):
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(self.lb.certificate)
        with self.assertWarns(DeprecationWarning):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, OSError)):
            exchange(self.lb.tls_port, request(), old)

    def test_no_secrets_in_the_log(self):
        status, headers, _ = self.ask(
            f"Authorization: Bearer {SECRET}", f"Cookie: session={SECRET}", f"X-API-Key: {SECRET}",
            path=f"/connection/websocket?token={SECRET}",
        )
        self.assertEqual(status, 200)
        self.assertNotIn("secret", headers.get("server", ""))
        wait_until(lambda: "/connection/websocket" in [line["path"] for line in self.log()], "a line of the log", 5)
        self.assertEqual({line["address"] for line in self.log()}, {"127.0.0.0"})
        self.assertNotIn(SECRET, self.lb.process.log())

    def test_a_path_cannot_forge_a_line_of_the_log(self):
        self.ask(path='/a","status":200,"x":"%0a')
        forged = f'/a","status":200,"x":"{self.line_feed}'
        wait_until(lambda: forged in [line["path"] for line in self.log()], "a line of the log", 5)

    def log(self):
        return [json.loads(line) for line in self.lb.process.log().splitlines() if line.startswith("{") and line.endswith("}")]


class HAProxy(Hygiene, unittest.TestCase):
    balancer = "haproxy"
    line_feed = "%0a"

    def test_no_server_header(self):
        self.assertNotIn("server", self.ask()[1])

    # Where it is nginx, a node says so.
    def test_another_version_of_websocket(self):
        status, headers, _ = self.ask(
            "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Upgrade: websocket", "Sec-WebSocket-Version: 8"
        )
        self.assertEqual((status, headers.get("sec-websocket-version")), (426, "13"))


class Nginx(Hygiene, unittest.TestCase):
    balancer = "nginx"
    harmless = {"x-forwarded-anything"}
    line_feed = "\n"


class HAProxyLimits(unittest.TestCase):
    def test_connects_of_one_address(self):
        with Balancer(LB_IP_CONNECTS="20") as lb:
            answers = [get(lb.port, "/")[0] for _ in range(40)]
        # The 21st in ten seconds is one too many.
        self.assertEqual(answers, [200] * 20 + [0] * 20)

    def test_open_sockets_of_one_address(self):
        with Balancer(LB_IP_CONNECTIONS="5") as lb:
            sockets = [socket.create_connection(("127.0.0.1", lb.port)) for _ in range(5)]
            # The kernel has taken them at once; whoever has an answer is counted.
            self.assertEqual([ask_again(each) for each in sockets], [200] * 5)
            self.assertEqual(get(lb.port, "/")[0], 0)
            self.assertEqual([ask_again(each) for each in sockets], [200] * 5)
            for each in sockets:
                each.close()
            wait_until(lambda: get(lb.port, "/")[0] == 200, "there is room again", 5)

    def test_requests_of_one_address(self):
        with Balancer(LB_IP_REQUESTS="10") as lb:
            answers = [get(lb.port, "/")[0] for _ in range(12)]
        self.assertEqual(answers, [200] * 10 + [429] * 2)

    def test_errors_of_one_address(self):
        with Balancer(LB_IP_ERRORS="5") as lb:
            answers = [get(lb.port, "/admin")[0] for _ in range(8)]
            self.assertEqual(answers, [404] * 6 + [429] * 2)
            self.assertEqual(get(lb.port, "/")[0], 429)
            self.assertEqual(get(lb.own_port, "/ready")[0], 200)


class NginxLimits(unittest.TestCase):
    """As HAProxy's, but that nobody is turned away without an answer, and that nginx lets one more
    in at once and goes on with one for each that time has brought."""

    def assert_refused(self, answer):
        status, headers, _ = answer
        self.assertEqual((status, headers.get("retry-after"), headers.get("connection")), (429, "10", "close"))

    def test_connects_of_one_address(self):
        with Balancer("nginx", LB_IP_CONNECTS="10") as lb, socket.create_connection(("127.0.0.1", lb.port)) as kept:
            self.assertEqual(ask_again(kept), 200)
            answers = [exchange(lb.port, request()) for _ in range(60)]
            self.assertEqual([status for status, _, _ in answers[:10]], [200] * 10)
            self.assert_refused(next(answer for answer in answers if answer[0] != 200))
            # Who has a socket goes on with it.
            self.assertEqual([ask_again(kept) for _ in range(20)], [200] * 20)

    def test_requests_of_one_address(self):
        with Balancer("nginx", LB_IP_REQUESTS="10") as lb, socket.create_connection(("127.0.0.1", lb.port)) as kept:
            answers = [ask_again(kept) for _ in range(10)]
            self.assertEqual(answers, [200] * 10)
            refused = next(answer for _ in range(60) if (answer := exchange(lb.port, request()))[0] != 200)
            self.assert_refused(refused)
            self.assertEqual(get(lb.own_port, "/ready")[0], 200)

    def test_open_requests_of_one_address(self):
        with Balancer("nginx", LB_IP_CONNECTIONS="5") as lb:
            sockets = [socket.create_connection(("127.0.0.1", lb.port)) for _ in range(7)]
            for each in sockets:
                # Open until its body has come.
                each.sendall(request("Content-Length: 10", method="POST"))
            answered = set()
            wait_until(lambda: answered.update(select.select(sockets, [], [], 0)[0]) or len(answered) == 2, "two are refused", 5)
            for each in answered:
                self.assertIn(b" 429 ", each.recv(65536))
            self.assert_refused(exchange(lb.port, request()))
            for each in sockets:
                each.close()
            wait_until(lambda: get(lb.port, "/")[0] == 200, "there is room again", 5)


def ask_again(stream):
    """The status of a request on a socket that is kept."""
    stream.sendall(request())
    head = b""
    while b"\r\n\r\n" not in head:
        head += stream.recv(65536)
    head, _, body = head.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    while len(body) < length:
        body += stream.recv(65536)
    return int(head.split()[1])
