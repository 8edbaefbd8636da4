"""One Sealcast process for the tests, and tokens for it."""

import base64
import hashlib
import hmac
import itertools
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).parents[1] / "logs"))
from evidence import Evidence

BINARY = os.environ.get("TESTED_SEALCAST") or str(
    pathlib.Path(__file__).parents[2] / "target/debug/sealcast"
)
EVIDENCE = Evidence("python", pathlib.Path(BINARY))
SECRET = "a canary secret of the tests, 32 bytes or more"
API_KEY = "canary-api-key-of-the-tests-0123456789abcdef"
CLUSTER_KEY = "cluster-key-of-the-tests-0123456789"
READY_SECONDS = 20
_NUMBERS = itertools.count(1)

OPTIONS = {
    "allow_subscribe_for_client": True,
    "allow_publish_for_client": True,
    "presence": True,
    "join_leave": True,
    "force_push_join_leave": True,
    "allow_presence_for_client": True,
    "allow_history_for_client": True,
    "history_size": 500,
    "history_ttl": "60s",
    "force_recovery": True,
}
NAMESPACES = [
    {**OPTIONS, "name": "short", "history_size": 3},
    # Joins would count as bytes that are no patches.
    {**OPTIONS, "name": "delta", "delta_publish": True, "force_push_join_leave": False},
]


class Node:
    """Runs from `with` to its end, on a Redis if there is one. `client` adds options of
    connections, `more` whole sections."""

    def __init__(self, redis=None, *, more=None, **client):
        self._redis, self._client = redis, client
        self._more = more or {}

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory()
        path = pathlib.Path(self._directory.name) / "config.json"
        config = {
            "http_server": {"port": 0},
            "metrics": {"port": 0},
            "client": {
                "token": {"hmac_secret_key": SECRET},
                "user_connection_limit": 0,
                **self._client,
            },
            "http_api": {"key": API_KEY},
            # Tests send faster than people, and all from one address.
            "limits": {"profile": "none", "ip_connections": 10_000},
            "channel": {"without_namespace": OPTIONS, "namespaces": NAMESPACES},
            **self._more,
        }
        if self._redis is not None:
            config["engine"] = {"type": "redis", "redis": self._redis.options()}
            config["cluster"] = {"key": CLUSTER_KEY}
        path.write_text(json.dumps(config))
        command = [BINARY, "serve", "--config", str(path), "--ready-json"]
        log = EVIDENCE.folder / f"python-{os.getpid()}-{next(_NUMBERS)}.log"
        with log.open("w") as errors:
            # It says as much as it does to somebody who looks for a fault.
            says = {**os.environ, "SEALCAST_LOG_LEVEL": "debug"}
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=says)
        if not select.select([self._process.stdout], [], [], READY_SECONDS)[0]:
            self._end()
            raise TimeoutError(f"{BINARY} was not ready within {READY_SECONDS} s")
        ready = json.loads(self._process.stdout.readline())
        address, self._metrics = ready["public"], ready["metrics"]
        self.port = int(address.rpartition(":")[2])
        self.api = f"http://{address}/api"
        self.websocket = f"ws://{address}/connection/websocket"
        return self

    def __exit__(self, *_):
        EVIDENCE.metrics_at(self._metrics)
        self._end()

    def _end(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._directory.cleanup()


def token(user, **claims):
    """An HS256 token for ten minutes. `claims` add to `sub` and `exp` or replace them."""
    header = _segment({"alg": "HS256", "typ": "JWT"})
    signed = header + b"." + _segment({"sub": user, "exp": in_seconds(600), **claims})
    signature = _base64(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest())
    made = (signed + b"." + signature).decode()
    EVIDENCE.token(made, user)
    return made


def in_seconds(seconds):
    """Unix time in seconds, from now."""
    return int(time.time()) + seconds


def _segment(value):
    return _base64(json.dumps(value).encode())


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")
