#!/usr/bin/env python3
"""Looks through what nodes have said in a test run for what must never be there (T-52).

    tests/logs/scan.py FOLDER [HARNESS...]     the harnesses that must have left something in it

Looked through are the logs of nodes that were processes (HARNESS-*.log, and of load balancers in
front of them HARNESS-lb-*.log) and of those inside a test's own process (HARNESS-inside-*.log), the
series of their metrics (HARNESS.metrics), and errors and reasons as clients got them
(HARNESS.told). Looked for are:

* the word canary, which stands in the tests' keys, secrets, users and payloads;
* anything that looks like a token, and the signature of every token that a test has made;
* payloads, channels and users, as far as they could not stand in a line by chance;
* addresses of clients, and any address in full; a query of a URL.

A harness that has left a log and not the rest is an error: nothing was looked for then. So is a scan
that does not find what is planted for it.
"""

import contextlib
import io
import json
import pathlib
import re
import sys
import tempfile

LEAST_LOGS, LEAST_LINES = 1, 20
# Logs that are not of a node that was a process: HARNESS-KIND-*.log.
INSIDE, BALANCER = "inside", "lb"
# What each harness leaves beside logs of such nodes, if it leaves any log.
LEAVES = {
    "it": (INSIDE, "signatures", "users", "channels", "payloads", "addresses", "metrics", "told"),
    "faults": ("signatures", "users", "payloads", "metrics"),
    "sdk": ("signatures", "users", "channels", "payloads", "metrics", "told"),
    "python": ("signatures", "users", "payloads", "metrics", "told"),
    "browser": ("channels", "payloads", "metrics"),
    "deploy": (BALANCER, "signatures", "users", "channels", "payloads", "addresses", "metrics", "told"),
}
LOOKED_FOR = ("signatures", "users", "channels", "payloads", "addresses")

WORD = re.compile(r"canary", re.IGNORECASE)
TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}")
# What stands for a signature is one word of Base64.
SEGMENT = re.compile(r"[\w-]{20,}")
QUERY = re.compile(r"\?[\w-]+=")
# In a URL it is a server's: an origin may have one.
ADDRESS = re.compile(r"(?<![\d./])(?!\d+\.\d+\.\d+\.0/24)(\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)")
LABEL = re.compile(r'="((?:[^"\\]|\\.)*)"')
# How a node's line says who a client is: a random id, a pseudonym, a network.
MEMBERS = {
    "client": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "user": re.compile(r"u_[a-z2-7]{26}"),
    "address": re.compile(r"\d+\.\d+\.\d+\.0/24|[0-9a-f:]+::/48"),
}
# A load balancer's: without how long the network is.
BALANCER_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.0|[0-9a-f:]*::|-")
# What an operator has given a node, who is told of it.
OPERATORS = ("public", "internal", "metrics")
COMPLAINT = re.compile(r"sealcast( bench)?: ")
# A member in a line for people.
MEMBER = re.compile(r" (\w+)=(\S+)")
# A user of fewer letters may be a word of the log; it must not be all of a value.
LEAST_USER = 8
# What some test calls a user, a channel or a payload, and is a word of the product: transports,
# encodings, the name of an API key.
TRANSPORTS = {"websocket", "http_stream", "sse", "uni_websocket", "uni_http_stream", "uni_sse"}
WORDS = TRANSPORTS | {"Json", "Protobuf", "json", "protobuf", "publisher", "other"}


def main(folder, harnesses=()):
    folder = pathlib.Path(folder)
    logs = sorted(folder.glob("*.log"))
    looked_for = {kind: set() for kind in LOOKED_FOR}
    for kind, things in looked_for.items():
        for path in folder.glob(f"*.{kind}"):
            things.update(read(path))
    said = Said(looked_for)
    for path in logs:
        said.log(path)
    for path in sorted(folder.glob("*.metrics")):
        for number, series in enumerate(read(path), 1):
            for text in [series, *LABEL.findall(series)]:
                said.text(f"{path.name}:{number}", text)
    for path in sorted(folder.glob("*.told")):
        for number, body in enumerate(read(path), 1):
            for text in strings(body):
                said.text(f"{path.name}:{number}", text)

    counts = ", ".join(f"{len(things)} {kind}" for kind, things in looked_for.items())
    print(f"{len(logs)} logs, {said.lines} lines, {len(said.texts)} texts; {counts}")
    for one in said.found[:20]:
        print(one)
    missing = list(lacks(folder, logs, said.lines, harnesses))
    for one in missing:
        print(one)
    return 1 if said.found or missing else 0


def lacks(folder, logs, lines, harnesses):
    """What is not there, so that the rest says little."""
    if len(logs) < LEAST_LOGS or lines < LEAST_LINES:
        yield f"{len(logs)} logs with {lines} lines, which is too little to say anything"
    kinds = {origin(path) for path in logs if size(path)}
    for harness in sorted({origin(path)[0] for path in logs} | set(harnesses)):
        if harness not in LEAVES:
            yield f"{harness}: it is not known what this harness leaves"
            continue
        if not any(of == harness and kind not in (INSIDE, BALANCER) for of, kind in kinds):
            yield f"{harness}: no log of a node"
        for kind in LEAVES[harness]:
            if kind in (INSIDE, BALANCER):
                is_there = (harness, kind) in kinds
            else:
                path = folder / f"{harness}.{kind}"
                is_there = path.exists() and size(path) > 0
            if not is_there:
                yield f"{harness}: no {kind}"


class Said:
    """What was said, each text once, and what was found in it; never the thing itself."""

    def __init__(self, looked_for):
        looked_for = {kind: things - WORDS for kind, things in looked_for.items()}
        self._signatures, self._looked_for = looked_for["signatures"], looked_for
        users = looked_for["users"]
        self._users = [user for user in users if len(user) >= LEAST_USER]
        self._short_users = users - set(self._users)
        self.lines, self.texts, self.found = 0, set(), []

    def log(self, path):
        balancer = origin(path)[1] == BALANCER
        for number, line in enumerate(lines_of(path), 1):
            self.lines += 1
            place = f"{path.name}:{number}"
            try:
                members = json.loads(line)
            except ValueError:
                members = None
            if isinstance(members, dict):
                self._members(place, members, balancer)
            elif balancer or COMPLAINT.match(line):
                self.text(place, line, of_operators=True)
            else:
                named = dict(MEMBER.findall(line))
                self._members(place, {name: named[name] for name in named if name in MEMBERS}, False)
                for own in OPERATORS:
                    line = line.replace(f" {own}={named.get(own)}", "")
                self.text(place, line)

    def _members(self, place, members, balancer):
        for name, value in members.items():
            self.text(place, name)
            if not isinstance(value, str) or name == "time":
                continue
            known = BALANCER_ADDRESS if balancer and name == "address" else MEMBERS.get(name)
            if known is None:
                own = name in OPERATORS or balancer and name == "node"
                self.text(place, value, of_operators=own)
            elif not known.fullmatch(value):
                self._find(place, f"not what {name} may be")
                self.text(place, value)

    def text(self, place, text, of_operators=False):
        if (text, of_operators) in self.texts:
            return
        self.texts.add((text, of_operators))
        for what in self._findings(text, of_operators):
            self._find(place, what)

    def _find(self, place, what):
        self.found.append(f"{place}: {what}")

    def _findings(self, text, of_operators):
        if WORD.search(text):
            yield "a canary"
        if TOKEN.search(text):
            yield "what looks like a token"
        if any(word in self._signatures for word in SEGMENT.findall(text)):
            yield "the signature of a token"
        for what, things in (
            ("a payload", self._looked_for["payloads"]),
            ("a channel", self._looked_for["channels"]),
        ):
            if any(thing in text for thing in things):
                yield what
        if text in self._short_users or any(stands_in(user, text) for user in self._users):
            yield "a user"
        if QUERY.search(text):
            yield "a query"
        if not of_operators:
            if ADDRESS.search(text):
                yield "an address in full"
            elif any(address in text.replace(f"{address}/24", "") for address in self._looked_for["addresses"]):
                yield "the address of a client"


def stands_in(word, text):
    """Whether it does as a word of its own."""
    return word in text and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)


def strings(body):
    """What may be JSON as it came, and the texts in it."""
    yield body
    try:
        value = json.loads(body)
    except ValueError:
        value = body
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]


def read(path):
    return [json.loads(line) for line in lines_of(path)]


def lines_of(path):
    # Texts may hold what Python takes for the end of a line as well.
    return [line for line in path.read_text(errors="replace").split("\n") if line]


def origin(log):
    """The harness that a log is of, and what it is of there."""
    harness, _, rest = log.stem.partition("-")
    return harness, rest.partition("-")[0]


def size(path):
    return path.stat().st_size


def self_test():
    """Each thing is found where it is planted, and nothing else; and no silence passes for peace."""
    things = {
        "signatures": "c2lnbmF0dXJlIG9mIGEgdG9rZW4gb2YgdGVzdHM",
        "users": "somebody",
        "channels": "room:seven",
        "payloads": "what\u2028somebody else says",
        "addresses": "2001:db8::7",
        "metrics": 'sealcast_messages_total{kind="publish"}',
        "told": '{"error":{"code":103,"message":"permission denied"}}',
    }
    good = {
        "event": "connected", "transport": "websocket", "address": "127.0.0.0/24", "user": "u_" + "a" * 26, "message": "connected",
        "client": "6d2a4b1e-0000-4000-8000-000000000000", "public": "127.0.0.1:8000",
        "origin": "http://127.0.0.1:5173",
    }
    # What is found, and the texts that it is found in.
    planted = {
        "a canary": "Canary-user-7",
        "what looks like a token": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.{things['signatures'][:5]}",
        "the signature of a token": f"with {things['signatures']} at the end",
        "a payload": f"bad: {things['payloads']}"[:28],
        "a channel": f"in {things['channels']}",
        "a user": "of somebody",
        "a query": "/connection/websocket?token=x",
        "an address in full": "from 192.0.2.1:1234",
        "the address of a client": f"from [{things['addresses']}]:80",
    }
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        assert main(folder) == 1, "nothing is there"
        logs = [folder / "it-1-0.log", folder / "it-inside-1.log"]
        for log in logs:
            log.write_text(f"{json.dumps(good)}\nsealcast: cannot listen on 127.0.0.1:80\n" * LEAST_LINES)
        for kind, thing in things.items():
            assert main(folder) == 1, f"no {kind}"
            (folder / f"it.{kind}").write_text(f"{json.dumps(thing, ensure_ascii=False)}\n")
        # A payload is cut, wherever it is noted.
        (folder / "it.payloads").write_text(f"{json.dumps(things['payloads'][:20])}\n")
        # A channel may be called like a transport.
        with (folder / "it.channels").open("a") as channels:
            channels.write('"websocket"\n')
        assert main(folder, ["it"]) == 0, "all is well"
        assert main(folder, ["it", "sdk"]) == 1, "another harness has left nothing"

        for what, text in planted.items():
            line = {**good, "reason": text}
            lines = [json.dumps(line), f"2026-01-01T00:00:00Z INFO x: {text} public=127.0.0.1:80"]
            places = [(log, line) for log in logs for line in lines]
            places.append((folder / "it.metrics", json.dumps(f'a_total{{of="{text}"}}')))
            for body in ({"error": {"message": text}}, text):
                places.append((folder / "it.told", json.dumps(json.dumps(body))))
            for path, line in places:
                assert_found(folder, path, line, what)
        # A payload that is an object, in an answer that is one.
        path = folder / "it.payloads"
        noted, payload = path.read_text(), {"n": 123_456}
        path.write_text(noted + json.dumps(json.dumps(payload)) + "\n")
        assert_found(folder, folder / "it.told", json.dumps(json.dumps({"bad": payload})), "a payload")
        path.write_text(noted)
        for what, member in (
            ("not what user may be", {"user": "ada"}),
            ("not what client may be", {"client": "ada"}),
            ("not what address may be", {"address": "127.0.0.1"}),
        ):
            assert_found(folder, logs[1], json.dumps({**good, **member}), what)
            ((name, value),) = member.items()
            assert_found(folder, logs[0], f"2026-01-01T00:00:00Z INFO x: y code=1 {name}={value}", what)

        for path in sorted(folder.iterdir()):
            before = path.read_text()
            path.write_text("")
            assert main(folder) == 1, f"{path.name} is empty"
            path.write_text(before)
        (folder / "other-1.log").write_text("x\n")
        assert main(folder) == 1, "what is left of another harness is not known"


def assert_found(folder, path, line, what):
    before = path.read_text()
    path.write_text(f"{before}{line}\n")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(folder) == 1, (path, line)
    assert f": {what}\n" in out.getvalue(), (path, line, out.getvalue())
    path.write_text(before)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with contextlib.redirect_stdout(io.StringIO()):
        self_test()
    sys.exit(main(sys.argv[1], sys.argv[2:]))
