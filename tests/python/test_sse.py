"""Event streams as a program reads them that knows nothing of the protocol: httpx, line by line."""

import contextlib
import json
import unittest

import httpx

from node import API_KEY, Node, token

# A heartbeat comes every 15 s, a ping every 25 s.
TIMEOUT = httpx.Timeout(40)


class EventStreams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        enabled = {"enabled": True}
        cls.node = Node(more={"uni_sse": enabled})
        cls.node.__enter__()
        cls.addClassCleanup(cls.node.__exit__)
        cls.url = f"http://127.0.0.1:{cls.node.port}"

    def api(self, method, **body):
        answer = httpx.post(
            f"{self.node.api}/{method}", json=body, headers={"X-API-Key": API_KEY}, timeout=TIMEOUT
        )
        self.assertEqual(answer.status_code, 200)
        return answer.json()["result"]

    @contextlib.contextmanager
    def reading(self, channel, user="ada", by="header", **headers):
        """A stream that asks for `channel` from where it is or was; gives its answer and its blocks."""
        connect = {"subs": {channel: {"recover": True}}}
        url = f"{self.url}/connection/uni_sse"
        bearer = {"Authorization": f"Bearer {token(user)}"}
        query = {"cf_connect": json.dumps(connect)}
        if by == "ticket":
            asked = httpx.post(
                f"{self.url}/connection/ticket", json={"transport": "uni_sse"}, headers=bearer
            )
            self.assertEqual(asked.status_code, 200, asked.text)
            request = ("GET", url, {"params": query | {"ticket": asked.json()["ticket"]}})
        elif by == "body":
            request = ("POST", url, {"json": connect | {"token": token(user)}})
        else:
            request = ("GET", url, {"params": query, "headers": bearer})
        method, url, options = request
        options["headers"] = options.get("headers", {}) | headers
        with httpx.Client(timeout=TIMEOUT) as client, client.stream(method, url, **options) as answer:
            yield answer, blocks(answer)

    def test_events_come_one_by_one_and_headers_let_nobody_keep_them(self):
        for by in ("header", "body", "ticket"):
            channel = f"one-by-one-{by}"
            with self.subTest(by), self.reading(channel, by=by) as (answer, events):
                self.assertEqual(answer.status_code, 200)
                self.assertEqual(answer.headers["content-type"], "text/event-stream; charset=utf-8")
                self.assertIn("no-store", answer.headers["cache-control"])
                self.assertEqual(answer.headers["x-accel-buffering"], "no")
                connect = next_push(events, "connect")
                self.assertEqual(list(connect["subs"]), [channel])
                for n in range(5):
                    # Each is there before the next is published.
                    self.api("publish", channel=channel, data={"n": n, "text": "a\r\nb\u2028c"})
                    heard = next_push(events, "pub")
                    self.assertEqual(heard["data"], {"n": n, "text": "a\r\nb\u2028c"})
                    self.assertEqual(heard["offset"], n + 1)

    def test_a_reader_comes_back_by_the_id_of_its_last_event(self):
        with self.reading("back") as (_, events):
            next_push(events, "connect")
            self.api("publish", channel="back", data=1)
            block = next(block for block in events if block.get("id", "").startswith("1:"))
        for n in (2, 3):
            self.api("publish", channel="back", data=n)
        with self.reading("back", **{"Last-Event-ID": block["id"]}) as (_, events):
            missed = next_push(events, "connect")["subs"]["back"]
            self.assertTrue(missed["recovered"])
            self.assertEqual([each["data"] for each in missed["publications"]], [2, 3])
            self.api("publish", channel="back", data=4)
            self.assertEqual(next_push(events, "pub")["data"], 4)

    def test_a_reader_comes_back_by_positions_in_its_connect_request(self):
        with self.reading("position") as (_, events):
            epoch = next_push(events, "connect")["subs"]["position"]["epoch"]
        for n in (1, 2, 3):
            self.api("publish", channel="position", data=n)
        connect = {"subs": {"position": {"recover": True, "epoch": epoch, "offset": 1}}}
        query = {"cf_connect": json.dumps(connect)}
        bearer = {"Authorization": f"Bearer {token('ada')}"}
        url = f"{self.url}/connection/uni_sse"
        with httpx.stream("GET", url, params=query, headers=bearer, timeout=TIMEOUT) as answer:
            missed = next_push(blocks(answer), "connect")["subs"]["position"]
        self.assertTrue(missed["recovered"])
        self.assertEqual([each["data"] for each in missed["publications"]], [2, 3])

    def test_a_quiet_stream_has_heartbeats(self):
        with self.reading("quiet") as (_, events):
            next_push(events, "connect")
            # And events without data are not dispatched, so a reader is not bothered.
            self.assertNotIn("data", next(block for block in events if "comment" in block))

    def test_what_is_over_is_answered_with_204(self):
        with self.reading("over", user="eve") as (_, events):
            next_push(events, "connect")
            self.api("disconnect", user="eve")
            block = next(block for block in events if block.get("id") == "over")
            self.assertEqual(list(events), [], "nothing behind it")
        self.assertEqual(json.loads(block["data"])["disconnect"]["code"], 3503)
        with self.reading("over", user="eve", **{"Last-Event-ID": block["id"]}) as (answer, _):
            self.assertEqual((answer.status_code, answer.read()), (204, b""))

    def test_what_is_refused_has_its_status(self):
        url = f"{self.url}/connection/uni_sse"
        for status, options in (
            (400, {"params": {"cf_connect": json.dumps({"token": token("ada")})}}),
            (400, {"params": {"cf_connect": "[]"}}),
            (401, {"params": {"ticket": "A" * 43}}),
            (403, {"headers": {"Origin": "https://evil.example"}}),
        ):
            with self.subTest(options):
                self.assertEqual(httpx.get(url, timeout=TIMEOUT, **options).status_code, status)


def blocks(answer):
    """The blocks of an event stream, as WHATWG HTML (9.2.6) takes them apart, without a library for it.

    httpx would take U+2028 for the end of a line, which in an event stream it is not.
    """
    block, rest = {}, b""
    for chunk in answer.iter_bytes():
        rest += chunk
        # A carriage return alone is an end too; this server writes none.
        *lines, rest = rest.replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            if not line:
                if block:
                    yield block
                block = {}
                continue
            name, _, value = line.decode().partition(":")
            block[name or "comment"] = value.removeprefix(" ")


def next_push(events, kind):
    """The next push of this kind; joins and pings may come before it."""
    data = (json.loads(block["data"]) for block in events if "data" in block)
    return next(push[kind] for push in data if kind in push)
