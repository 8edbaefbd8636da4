"""What tests leave for scan.py, which looks through everything that nodes have said once all tests
have run: on the one side their logs, their metrics and the errors that clients got, on the other
what must stand in none of them. Each kind is a file of the harness with one JSON text a line."""

import json
import urllib.request

# How much of one thing is noted; enough to find it by, also where it was cut.
LENGTH = 64
# What is shorter, or has fewer letters, could stand in a line by chance.
LEAST, LEAST_LETTERS = 8, 4
ADDRESSED = ("x-forwarded-for", "x-real-ip", "true-client-ip", "cf-connecting-ip")


class Evidence:
    """Of one harness, beside the program that it tests."""

    def __init__(self, harness, binary):
        self.folder = binary.resolve().parent.parent / "tmp/logs"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._harness, self._seen = harness, set()

    def token(self, token, user):
        """A token was made, for a user."""
        self._note("signatures", token.rpartition(".")[2])
        self._note("users", user)

    def sent(self, value):
        """A client or a backend said this, as it is before it is JSON."""
        if isinstance(value, list):
            for one in value:
                self.sent(one)
        elif isinstance(value, dict):
            for name, member in value.items():
                if name in ("data", "info", "tags"):
                    self.published(member)
                elif name == "channel" and isinstance(member, str):
                    self._telling("channels", member)
                else:
                    self.sent(member)

    def published(self, value):
        """A payload."""
        if isinstance(value, str):
            self._telling("payloads", value)
        elif isinstance(value, (list, dict)):
            self._telling("payloads", json.dumps(value, ensure_ascii=False, separators=(",", ":")))
            for one in value.values() if isinstance(value, dict) else value:
                self.published(one)

    def forwarded(self, headers):
        """A client said by these headers who it is."""
        for name, value in (headers or {}).items():
            if name.lower() in ADDRESSED:
                self._note("addresses", value)

    def told(self, text):
        """A client got an error, or the reason of its end."""
        self._note("told", text)

    def metrics(self, text):
        """What stands in a node's metrics; the numbers are left out."""
        for line in text.splitlines():
            if not line.startswith("#"):
                self._note("metrics", line.rpartition(" ")[0])

    def metrics_at(self, address):
        """The same as the node tells them, if it still does."""
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=1) as answer:
                self.metrics(answer.read().decode())
        except OSError:
            pass

    def _telling(self, kind, text):
        if len(text) >= LEAST and len(set(text)) >= LEAST_LETTERS:
            self._note(kind, text[:LENGTH])

    def _note(self, kind, text):
        if not text or not isinstance(text, str) or (kind, text) in self._seen:
            return
        self._seen.add((kind, text))
        with (self.folder / f"{self._harness}.{kind}").open("ab") as noted:
            noted.write(json.dumps(text).encode() + b"\n")
