"""A server in the place of the nodes that answers with the head of the request that came."""

import contextlib
import json
import pathlib
import socketserver
import subprocess
import tempfile
import threading

import cluster
from cluster import DEPLOY, UNLIMITED, free_port, get, nginx, nginx_configuration, wait_until


class Balancer:
    """HAProxy or nginx from deploy/ in front of three such servers. `lb` adds to its environment."""

    def __init__(self, program="haproxy", **lb):
        self._program, self._lb = program, {**UNLIMITED, **lb}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)
            subprocess.run(
                ["sh", DEPLOY / "init.sh", folder / "secrets"],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OWNERS": "no"},
                check=True,
                stdout=subprocess.DEVNULL,
            )
            self.certificate = folder / "secrets/person/tls.pem"
            self.port, self.tls_port, self.own_port = free_port(), free_port(), free_port()
            environment = {
                "LB_BIND": f"127.0.0.1:{self.port}",
                "LB_TLS_BIND": f"127.0.0.1:{self.tls_port}",
                "LB_METRICS_BIND": f"127.0.0.1:{self.own_port}",
                "LB_SOCKET": str(folder / "lb.sock"),
                "LB_CERT": str(folder / "secrets/lb/tls.pem"),
                "LB_COOKIE_KEY": (folder / "secrets/person/cookie_key").read_text(),
                **self._lb,
            }
            for number in (1, 2, 3):
                server = _Server(("127.0.0.1", 0), _Echo)
                server.name = f"node{number}"
                stack.callback(server.server_close)
                stack.callback(server.shutdown)
                threading.Thread(target=server.serve_forever, daemon=True).start()
                environment[f"LB_NODE{number}"] = f"127.0.0.1:{server.server_address[1]}"
            command = ["haproxy", "-db", "-f", DEPLOY / "haproxy/haproxy.cfg"]
            if self._program == "nginx":
                ports, nodes = (self.port, self.tls_port, self.own_port), [environment[f"LB_NODE{n}"] for n in (1, 2, 3)]
                command = nginx(nginx_configuration(folder, folder / "secrets", *ports, nodes, self._lb))
            self.process = stack.enter_context(contextlib.closing(cluster.Balancer("lb", command, folder, environment)))
            wait_until(lambda: get(self.own_port, "/ready")[0] == 200, "load balancer")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Echo(socketserver.StreamRequestHandler):
    def handle(self):
        # A check of health ends with a reset.
        with contextlib.suppress(ConnectionError):
            self._answer()

    def _answer(self):
        while line := self.rfile.readline():
            head = [line.decode().rstrip("\r\n")]
            while (line := self.rfile.readline().decode().rstrip("\r\n")):
                head.append(line)
            body = json.dumps({"node": self.server.name, "head": head}).encode()
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )
