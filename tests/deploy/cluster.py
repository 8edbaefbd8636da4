"""Three nodes, one Redis and one load balancer as plain processes, from the files in deploy/."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).parents[1] / "logs"))
from evidence import Evidence

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BINARY = os.environ.get("TESTED_SEALCAST") or str(ROOT / "target/debug/sealcast")
EVIDENCE = Evidence("deploy", pathlib.Path(BINARY))
START_SECONDS = 30

# One machine plays every client, so that the limits of one address are lifted.
UNLIMITED = {
    "LB_MAXCONN": "4000",
    "LB_IP_CONNECTIONS": "60000",
    "LB_IP_CONNECTS": "100000",
    "LB_IP_REQUESTS": "100000",
    "LB_IP_ERRORS": "100000",
}


_reserved = []


def free_port():
    """A port of loopback that nobody else is given before this process ends. It is bound here, as
    servers bind theirs, and nobody listens: who asks for it by its number may."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    _reserved.append(reserved)
    return reserved.getsockname()[1]


def wait_until(condition, what, seconds=START_SECONDS):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


class Process:
    """A program with its output in a file, which is killed when it is closed."""

    def __init__(self, name, command, folder, environment=None):
        self.name = name
        self._log = folder / f"{name}.log"
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={"PATH": os.environ["PATH"], **(environment or {})},
            )

    def kill(self, number=signal.SIGKILL):
        self._process.send_signal(number)

    def wait(self, seconds=60):
        return self._process.wait(seconds)

    def runs(self):
        return self._process.poll() is None

    def log(self):
        return self._log.read_text(errors="replace")

    def close(self):
        if self.runs():
            self.kill()
        self._process.wait()

    def leave_log(self):
        """Leaves what it logged to be looked through."""
        name = f"deploy-{self.name}-{os.getpid()}-{self._process.pid}.log"
        shutil.copy(self._log, EVIDENCE.folder / name)


class Balancer(Process):
    """Its workers outlive a master that is killed, so that it is told to end."""

    def close(self):
        if self.runs():
            self.kill(signal.SIGTERM)
        self.wait()
        self.leave_log()


class Node(Process):
    """A node with deploy/sealcast.yaml; only its ports and its Redis are this test's own."""

    def __init__(self, name, folder, secrets, redis_port, options=None):
        self.port, self.metrics_port = free_port(), free_port()
        self._start = (name, folder, secrets, redis_port, options)
        environment = {
            "SEALCAST_CONFIG": str(DEPLOY / "sealcast.yaml"),
            "SEALCAST_LOG_FORMAT": "json",
            "SEALCAST_NODE_NAME": name,
            "SEALCAST_HTTP_SERVER_ADDRESS": "127.0.0.1",
            "SEALCAST_HTTP_SERVER_PORT": str(self.port),
            "SEALCAST_HTTP_SERVER_TRUSTED_PROXIES": '["127.0.0.1"]',
            "SEALCAST_METRICS_ADDRESS": "127.0.0.1",
            "SEALCAST_METRICS_PORT": str(self.metrics_port),
            "SEALCAST_CLIENT_TOKEN_HMAC_SECRET_KEY_FILE": str(secrets / "node/token_key"),
            "SEALCAST_HTTP_API_KEY_FILE": str(secrets / "node/api_key"),
            "SEALCAST_CLUSTER_KEY_FILE": str(secrets / "node/cluster_key"),
            "SEALCAST_ENGINE_REDIS_ADDRESS": f"redis://127.0.0.1:{redis_port}",
            "SEALCAST_ENGINE_REDIS_USER": "relay",
            "SEALCAST_ENGINE_REDIS_PASSWORD_FILE": str(secrets / "node/relay_password"),
            # As at the load balancer: one machine plays every client.
            "SEALCAST_LIMITS_IP_CONNECTS": "none",
            "SEALCAST_LIMITS_IP_CONNECTIONS": "100000",
            **(options or {}),
        }
        super().__init__(name, [BINARY, "serve"], folder, environment)

    def close(self):
        if self.runs():
            EVIDENCE.metrics_at(f"127.0.0.1:{self.metrics_port}")
        super().close()
        self.leave_log()

    def ready(self):
        if not self.runs():
            raise RuntimeError(f"{self.name} ended: {self.log()[-2000:]}")
        return get(self.port, "/health/ready")[0] == 200

    def metrics(self):
        return get(self.metrics_port, "/metrics")[1].decode()

    def metric(self, name):
        """The sum of a metric over its labels."""
        lines = self.metrics().splitlines()
        values = [line.rsplit(" ", 1)[1] for line in lines if line.split("{")[0].split(" ")[0] == name]
        return sum(map(float, values))


def get(port, path, headers=None):
    """Status and body of a plain request; status 0 if nobody answers."""
    EVIDENCE.forwarded(headers)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def nginx(path):
    """The command that runs it with this configuration, in the foreground."""
    return ["nginx", "-c", path, "-e", "stderr", "-g", "daemon off;"]


def nginx_configuration(folder, secrets, port, tls_port, own_port, nodes, lb):
    """What deploy/nginx/render.sh makes for these places; its path. `lb` is of its environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "LB_BIND": f"127.0.0.1:{port}",
        "LB_TLS_BIND": f"127.0.0.1:{tls_port}",
        "LB_METRICS_BIND": f"127.0.0.1:{own_port}",
        "LB_CERT": str(secrets / "lb/tls.pem"),
        "LB_PID": str(folder / "nginx.pid"),
        **{f"LB_NODE{number}": node for number, node in enumerate(nodes, 1)},
        **lb,
    }
    path = folder / "nginx.conf"
    with open(path, "wb") as made:
        subprocess.run([DEPLOY / "nginx/render.sh"], env=environment, stdout=made, check=True)
    return path


class Cluster:
    """Runs from `with` to its end. `balancer` is "haproxy" or "nginx"; `lb` adds to the load
    balancer's environment, `node` to the nodes'."""

    def __init__(self, balancer="haproxy", lb=None, node=None):
        self._balancer, self._lb, self._node = balancer, {**UNLIMITED, **(lb or {})}, node or {}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            # Workers of a load balancer that starts as root read it as somebody else.
            self.folder.chmod(0o755)
            self.secrets = self.folder / "secrets"
            subprocess.run(
                ["sh", DEPLOY / "init.sh", self.secrets],
                env={"PATH": os.environ["PATH"], "OWNERS": "no"},
                check=True,
                stdout=subprocess.DEVNULL,
            )
            self.redis = stack.enter_context(contextlib.closing(self._start_redis()))
            self.nodes = [
                stack.enter_context(contextlib.closing(self.start_node(number))) for number in (1, 2, 3)
            ]
            for node in self.nodes:
                wait_until(node.ready, f"{node.name} ready")
            self.port, self.tls_port, self.lb_metrics_port = free_port(), free_port(), free_port()
            self.lb = stack.enter_context(contextlib.closing(self._start_balancer()))
            wait_until(self._all_up, "load balancer: three nodes up")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    def secret(self, name):
        return (self.secrets / "person" / name).read_text()

    def start_node(self, number, port=None):
        environment = dict(self._node)
        if port:
            environment["SEALCAST_HTTP_SERVER_PORT"] = str(port)
        node = Node(f"node{number}", self.folder, self.secrets, self.redis_port, environment)
        if port:
            node.port = port
        return node

    def restart(self, index):
        """Starts a node that has ended again, at the address where it was."""
        old = self.nodes[index]
        old.close()
        self.nodes[index] = self.start_node(index + 1, old.port)
        self._stack.callback(self.nodes[index].close)
        wait_until(self.nodes[index].ready, "ready again")

    def restart_balancer(self):
        """Ends the load balancer with everything that goes through it, and starts it again."""
        self.lb.close()
        self.lb = self._start_balancer()
        self._stack.callback(self.lb.close)
        wait_until(self._all_up, "load balancer: up again")

    def api(self, method, body):
        """A call of the server API through the load balancer."""
        EVIDENCE.sent(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = {"X-API-Key": self.secret("api_key"), "Content-Type": "application/json"}
            connection.request("POST", f"/api/{method}", json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{method}: {answer.status} {text!r}")
            return json.loads(text)
        finally:
            connection.close()

    def token(self, user):
        """A token for ten minutes."""
        signed = b".".join(_segment(part) for part in (
            {"alg": "HS256", "typ": "JWT"},
            {"sub": user, "exp": int(time.time()) + 600},
        ))
        signature = hmac.new(self.secret("token_key").encode(), signed, hashlib.sha256).digest()
        made = (signed + b"." + _base64(signature)).decode()
        EVIDENCE.token(made, user)
        return made

    def _start_redis(self):
        self.redis_port = free_port()
        data = self.folder / "redis"
        data.mkdir()
        command = ["redis-server", DEPLOY / "redis/redis.conf", "--port", str(self.redis_port)]
        command += ["--bind", "127.0.0.1", "--dir", data]
        command += ["--aclfile", self.secrets / "redis/users.acl"]
        redis = Process("redis", command, self.folder)
        wait_until(lambda: self._accepts(redis, self.redis_port), "redis")
        return redis

    def _start_balancer(self):
        if self._balancer == "nginx":
            return self._start_nginx()
        environment = {
            "LB_BIND": f"127.0.0.1:{self.port}",
            "LB_TLS_BIND": f"127.0.0.1:{self.tls_port}",
            "LB_METRICS_BIND": f"127.0.0.1:{self.lb_metrics_port}",
            "LB_SOCKET": str(self.folder / "lb.sock"),
            "LB_CERT": str(self.secrets / "lb/tls.pem"),
            **{f"LB_NODE{n + 1}": f"127.0.0.1:{node.port}" for n, node in enumerate(self.nodes)},
            **self._lb,
        }
        return Balancer("lb", self._haproxy(), self.folder, environment)

    def _haproxy(self):
        """In the foreground, with a master that can be told to read its configuration again."""
        return ["haproxy", "-W", "-db", "-f", self.secrets / "lb/cookie.cfg", "-f", DEPLOY / "haproxy/haproxy.cfg"]

    def _start_nginx(self):
        ports = (self.port, self.tls_port, self.lb_metrics_port)
        nodes = [f"127.0.0.1:{node.port}" for node in self.nodes]
        path = nginx_configuration(self.folder, self.secrets, *ports, nodes, self._lb)
        return Balancer("lb", nginx(path), self.folder)

    def _all_up(self):
        if not self.lb.runs():
            raise RuntimeError(f"the load balancer ended: {self.lb.log()[-2000:]}")
        if self._balancer == "nginx":
            return get(self.port, "/health/ready")[0] == 200
        return len(self.nodes_up()) == 3

    def nodes_up(self):
        """Names of the nodes that HAProxy sends clients to."""
        status, text = get(self.lb_metrics_port, "/metrics")
        marks = ('haproxy_server_status{proxy="nodes",server="', 'state="UP"} 1')
        if status != 200:
            return []
        lines = [line for line in text.decode().splitlines() if line.startswith(marks[0]) and line.endswith(marks[1])]
        return [line.split('server="')[1].split('"')[0] for line in lines]

    @staticmethod
    def _accepts(process, port):
        if not process.runs():
            raise RuntimeError(f"{process.name} ended: {process.log()[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0


def _segment(value):
    return _base64(json.dumps(value).encode())


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")
