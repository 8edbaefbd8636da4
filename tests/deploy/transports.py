"""Clients by every transport, through whatever is in front of the nodes."""

import http.client
import json
import urllib.parse

from websockets.sync.client import connect as dial

from cluster import EVIDENCE

# Longer than anything may be silent: nodes ping every 25 s.
PATIENCE = 40
UNIDIRECTIONAL = ("uni_sse", "uni_http_stream", "uni_websocket")
STREAMS = ("sse", "http_stream", "uni_sse", "uni_http_stream")
TRANSPORTS = ("websocket", *STREAMS, "uni_websocket")


class Refused(Exception):
    def __init__(self, status, headers, body):
        super().__init__(f"{status} {body!r}")
        self.status, self.headers, self.body = status, headers, body


class Listener:
    """A client that is connected and subscribed to `channel`."""

    def __init__(self, port, transport, token, channel, patience=PATIENCE, headers=None):
        listens = transport in UNIDIRECTIONAL
        self._port, self._headers = port, headers or {}
        self._session = None
        ask = {"token": token, "subs": {channel: {}}} if listens else {"id": 1, "connect": {"token": token}}
        wire = _Socket if transport.endswith("websocket") else _Stream
        self._wire = wire(port, transport, ask, patience, self._headers)
        self.connected = self.next()["connect"]
        if listens:
            self.subscribed = self.connected["subs"][channel]
            return
        if wire is _Stream:
            self._session = {name: self.connected[name] for name in ("session", "node")}
        self.say({"id": 2, "subscribe": {"channel": channel}})
        self.subscribed = self.next()["subscribe"]

    @property
    def head(self):
        """The answer's headers, of a stream."""
        return self._wire.head

    def next(self):
        """The next reply or push that is no ping; those are answered."""
        while True:
            said = self._wire.next()
            if said:
                return said.get("push", said)
            if self._wire.answers_pings:
                self.say({})

    def say(self, command):
        EVIDENCE.sent(command)
        text = json.dumps(command)
        if self._session is None:
            self._wire.say(text)
            return
        body = json.dumps({**self._session, "data": text})
        headers = {"Content-Type": "application/json", **self._headers}
        status, _, answer = ask(self._port, "POST", "/emulation", body, headers)
        if status != 204:
            raise Refused(status, {}, answer)

    def close(self):
        self._wire.close()


class _Stream:
    def __init__(self, port, transport, first, patience, headers):
        self._events = transport.endswith("sse")
        self.answers_pings = transport not in UNIDIRECTIONAL
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
        headers = {"Content-Type": "application/json", **headers}
        self._connection.request("POST", f"/connection/{transport}", json.dumps(first), headers)
        self._answer = self._connection.getresponse()
        self.head = {name.lower(): value for name, value in self._answer.getheaders()}
        if self._answer.status != 200:
            raise Refused(self._answer.status, self.head, self._answer.read())

    def next(self):
        while line := self._answer.readline():
            line = line.rstrip(b"\r\n")
            if not self._events:
                return json.loads(line)
            if line.startswith(b"data: "):
                return json.loads(line[6:])
        raise EOFError

    def close(self):
        self._answer.close()
        self._connection.close()


class _Socket:
    def __init__(self, port, transport, first, patience, headers):
        self.answers_pings = transport not in UNIDIRECTIONAL
        self._patience, self._lines = patience, []
        url = f"ws://127.0.0.1:{port}/connection/{transport}"
        self._socket = dial(url, additional_headers=headers, ping_interval=None, compression=None)
        self.say(json.dumps(first))

    def next(self):
        while not self._lines:
            self._lines = self._socket.recv(self._patience).split("\n")
        return json.loads(self._lines.pop(0))

    def say(self, text):
        self._socket.send(text)

    def close(self):
        self._socket.close()


def ask(port, method, path, body=None, headers=None, source=None):
    """Status, headers by name in lower case, and what there is of a body, or the first bytes of a stream."""
    EVIDENCE.forwarded(headers)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=source)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        head = {name.lower(): value for name, value in answer.getheaders()}
        endless = answer.status == 101 or answer.status == 200 and path.startswith("/connection/")
        body = b"" if endless else answer.read()
        if answer.status >= 400:
            EVIDENCE.told(body.decode(errors="replace"))
        return answer.status, head, body
    finally:
        connection.close()


def opening(transport, connect, headers=None):
    """Arguments for `ask` that open this, with what else a page or a proxy would say."""
    headers = dict(headers or {})
    path = f"/connection/{transport}"
    if transport.endswith("websocket"):
        headers |= {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        return "GET", path, None, headers
    return "POST", path, json.dumps(connect), {"Content-Type": "application/json", **headers}


def query(connect):
    return "cf_connect=" + urllib.parse.quote(json.dumps(connect))
