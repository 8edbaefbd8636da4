"""A redis-server of one's own, with the users of deploy/redis/users.acl."""

import hashlib
import pathlib
import socket
import subprocess
import tempfile
import time

ACL = pathlib.Path(__file__).parents[2] / "deploy/redis/users.acl"
USER, PASSWORD = "relay", "a-long-random-password-of-the-nodes"
# Asks at the end what was refused to whom.
ADMIN, ADMIN_PASSWORD = "admin", "admin-of-the-test"
WAIT = 20


class RedisServer:
    """Runs from `with` to its end; it must not have refused anybody anything until then."""

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self._directory.name)
        lines = [line for line in ACL.read_text().splitlines() if line.startswith("user ")]
        text = "\n".join([*lines, f"user {ADMIN} on >{ADMIN_PASSWORD} ~* &* +@all", ""])
        for word, password in (("RELAY", PASSWORD), ("OPS", "of ops")):
            digest = hashlib.sha256(password.encode()).hexdigest()
            text = text.replace(f"{word}_PASSWORD_SHA256", digest)
        (folder / "users.acl").write_text(text)
        # Bound here as servers bind theirs: it may listen, and nobody else is given the port.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port = self._reserved.getsockname()[1]
        self._log = (folder / "log").open("w+")
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(folder), "--aclfile", str(folder / "users.acl")]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        until = time.monotonic() + WAIT
        while "NOAUTH" not in self._ask("PING"):
            if self._process.poll() is not None or time.monotonic() > until:
                self._log.seek(0)
                log = self._log.read()
                self._end()
                raise AssertionError(f"redis-server does not start: {log}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        refused = self._ask(f"AUTH {ADMIN} {ADMIN_PASSWORD}", "ACL LOG")
        self._end()
        assert refused == "+OK\r\n*0\r\n", refused

    def options(self):
        """How the configuration of a node says where it is, and as whom to come."""
        address = f"127.0.0.1:{self.port}"
        return {"address": address, "user": USER, "password": PASSWORD}

    def _end(self):
        self._process.kill()
        self._process.wait()
        self._reserved.close()
        self._log.close()
        self._directory.cleanup()

    def _ask(self, *commands):
        """The answers as they come over the wire; nothing if nobody is there."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT) as connection:
                connection.sendall("".join(f"{command}\r\n" for command in commands).encode())
                connection.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        except OSError:
            return ""
