"""The stack as it is shipped, from a fresh clone, for the tests in this folder."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.request

REPOSITORY = pathlib.Path(__file__).parents[2]
# Where pictures and other output for people is left.
LEFT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target") / "stack"


class Clone(unittest.TestCase):
    """A clone of the repository, with an empty folder for what is an operator's own."""

    # Of the environment of `docker compose`.
    variables = {}

    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.root, cls.own = folder / "sealcast", folder / "own"
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{REPOSITORY}", cls.root], check=True)
        cls.own.mkdir()
        # init's user may not be the one who runs this.
        folder.chmod(0o755)
        cls.own.chmod(0o755)
        cls.environment = {**os.environ, "STACK_OWN": str(cls.own), **cls.variables}
        # What a run that was killed left behind.
        cls.compose("--profile", "*", "down", "-v", "--remove-orphans")
        cls.addClassCleanup(cls.compose, "--profile", "*", "down", "-v", "--remove-orphans")

    @classmethod
    def compose(cls, *arguments, ok=True, **environment):
        """What `docker compose` printed; fails unless it ends as expected."""
        done = cls.run_there("docker", "compose", "--ansi", "never", *arguments, **environment)
        if (done.returncode == 0) != ok:
            raise AssertionError(f"compose {arguments}: status {done.returncode}\n{done.stdout[-6000:]}")
        return done.stdout

    @classmethod
    def run_there(cls, *command, **environment):
        return subprocess.run(
            list(map(str, command)), cwd=cls.root, env={**cls.environment, **environment},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )

    @classmethod
    def up(cls, *services, **environment):
        """The one command of the README; returns how long it took."""
        began = time.monotonic()
        cls.compose("up", "--detach", "--build", "--wait", *services, **environment)
        return time.monotonic() - began

    @classmethod
    def secret(cls, name):
        return cls.compose("run", "--rm", "--no-deps", "-T", "key", name).strip().splitlines()[-1]

    def script(self, name, *arguments, status=0):
        """What a script of deploy/ printed."""
        done = self.run_there(self.root / "deploy" / name, *arguments)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def state(self, service):
        """What the engine says of a service's container: running or not, well or not."""
        container = self.compose("ps", "--all", "--quiet", service).strip()
        if not container:
            return "none"
        form = "{{.State.Status}}{{if .State.Health}} {{.State.Health.Status}}{{end}}"
        return subprocess.run(
            ["docker", "inspect", "--format", form, container], check=True, capture_output=True, text=True
        ).stdout.strip()


class Stack(Clone):
    """The whole of it runs, with somebody who is told of alerts."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in ("page", "ticket", "watchdog"):
            (cls.own / f"{name}_url").write_text(f"http://webhook:8080/{name}")
        cls.seconds = cls.up()
        cls.token_key, cls.api_key = cls.secret("token_key"), cls.secret("api_key")
        cls.webhook = cls.start_webhook()
        cls.addClassCleanup(cls.end_webhook)

    @classmethod
    def end_webhook(cls):
        """It is on a network of the stack, which cannot go before."""
        subprocess.run(["docker", "rm", "--force", cls.webhook], check=False, capture_output=True)

    @classmethod
    def start_webhook(cls):
        """Where alerts leave the stack."""
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
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def was_told(self, name, by=None):
        """Whether the webhook was told that this alert fires, by this path or by one that reaches people."""
        told = subprocess.run(["docker", "logs", self.webhook], check=True, capture_output=True, text=True).stdout
        for line in told.splitlines():
            path, _, body = line.partition(" ")
            if body and (path == by or by is None and path != "/watchdog") and any(
                alert["labels"]["alertname"] == name and alert["status"] == "firing"
                for alert in json.loads(body)["alerts"]
            ):
                return True
        return False

    def token(self, user, key=None):
        part = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=")  # noqa: E731
        claims = json.dumps({"sub": user, "exp": int(time.time()) + 1800}).encode()
        signed = part(b'{"alg":"HS256"}') + b"." + part(claims)
        signature = hmac.new((key or self.token_key).encode(), signed, hashlib.sha256).digest()
        return (signed + b"." + part(signature)).decode()

    def api(self, method, body):
        headers = {"X-API-Key": self.api_key, "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:8000/api/{method}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def shares(self):
        """Connections of each node, as the nodes tell each other every few seconds."""
        return [node["num_clients"] for node in self.api("info", {})["result"]["nodes"]]


def left(name):
    """An empty folder for people to look into."""
    folder = LEFT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
