"""What is for machines without containers: firewall, systemd, sysctl, backups."""

import contextlib
import datetime
import pathlib
import re
import socket
import subprocess
import tempfile
import unittest

from cluster import DEPLOY, Process, free_port, wait_until
from test_static import run


class Firewall(unittest.TestCase):
    def test_rules_are_right(self):
        for path in (DEPLOY / "firewall").glob("*.nft"):
            run("nft", "-c", "-f", path)
        for path in (DEPLOY / "firewall").glob("*.iptables"):
            run("iptables-restore", "--test", path)

    def test_only_who_may_comes_to_a_node(self):
        for install in self.rules_of("node"):
            with self.subTest(install[0]), Neighbours("10.0.2.11", "10.0.4.10") as neighbours:
                neighbours.inside(*install)
                neighbours.listen("8000 9000 6379 22", "6379 8080")
                for come_from, open_ports in (
                    ("10.0.1.10", {8000}), ("10.0.3.10", {9000}), ("10.0.7.7", set()),
                ):
                    self.assertEqual(neighbours.come(come_from, 22, 6379, 8000, 9000), open_ports, come_from)
                self.assertEqual(neighbours.go(6379, 8080), {6379})

    def test_only_who_may_comes_to_a_load_balancer(self):
        for install in self.rules_of("load-balancer"):
            with self.subTest(install[0]), Neighbours("10.0.1.10", "10.0.2.11") as neighbours:
                neighbours.inside(*install)
                neighbours.listen("8000 8443 8405 22", "8000 6379")
                for come_from, open_ports in (("10.0.3.10", {8000, 8405, 8443}), ("10.0.7.7", {8000, 8443})):
                    self.assertEqual(neighbours.come(come_from, 22, 8000, 8405, 8443), open_ports, come_from)
                self.assertEqual(neighbours.go(8000, 6379), {8000})
                came, seconds = neighbours.flood("10.0.7.7", 8000, 600)
                # 200 at once and 50 a second, and those that came before.
                self.assertGreater(came, 100)
                self.assertLessEqual(came, 200 + 50 * (seconds + 1))
                # Nobody else is kept out by them.
                self.assertEqual(neighbours.come("10.0.7.8", 8443), {8443})

    @staticmethod
    def rules_of(machine):
        """The commands that install its rules, of either program."""
        return ("nft", "-f", DEPLOY / f"firewall/{machine}.nft"), ("iptables-restore", DEPLOY / f"firewall/{machine}.iptables")


class Neighbours:
    """A machine and everybody around it, as namespaces of this one's network: `own` is its address,
    `other` is where it wants to go."""

    HERE, AROUND = "sealcast-t-here", "sealcast-t-around"
    # A load balancer, monitoring, two strangers.
    ADDRESSES = ("10.0.1.10", "10.0.3.10", "10.0.7.7", "10.0.7.8")
    LISTEN = """
import selectors, socket, sys
chosen = selectors.DefaultSelector()
for port in sys.argv[1:]:
    chosen.register(socket.create_server(("", int(port)), backlog=4000), selectors.EVENT_READ)
print("up", flush=True)
while True:
    for key, _ in chosen.select():
        key.fileobj.accept()[0].close()
"""
    CONNECT = """
import socket, sys
for port in sys.argv[3:]:
    try:
        socket.create_connection((sys.argv[2], int(port)), 0.7, (sys.argv[1], 0)).close()
        print(port)
    except OSError:
        pass
"""
    FLOOD = """
import select, socket, sys, time
began, waiting, came = time.monotonic(), select.poll(), 0
sockets = {}
for _ in range(int(sys.argv[4])):
    one = socket.socket()
    one.bind((sys.argv[1], 0))
    one.setblocking(False)
    one.connect_ex((sys.argv[2], int(sys.argv[3])))
    sockets[one.fileno()] = one
    waiting.register(one, select.POLLOUT)
# Before the kernel asks a second time.
while (left := began + 0.9 - time.monotonic()) > 0 and (ready := waiting.poll(left * 1000)):
    for descriptor, _ in ready:
        waiting.unregister(descriptor)
        came += sockets[descriptor].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
print(came, time.monotonic() - began)
"""

    def __init__(self, own, other):
        self._own, self._other = own, other

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for name in (self.HERE, self.AROUND):
                subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)
                run("ip", "netns", "add", name)
                stack.callback(run, "ip", "netns", "del", name)
            run("ip", "link", "add", "sct0", "netns", self.HERE, "type", "veth", "peer", "name", "sct1", "netns", self.AROUND)
            self.inside("ip", "addr", "add", f"{self._own}/16", "dev", "sct0")
            for address in (*self.ADDRESSES, self._other):
                if address != self._own:
                    self._around("ip", "addr", "replace", f"{address}/16", "dev", "sct1")
            for name, link in ((self.HERE, "sct0"), (self.AROUND, "sct1")):
                self._in(name, "ip", "link", "set", "lo", "up")
                self._in(name, "ip", "link", "set", link, "up")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def inside(self, *command):
        return self._in(self.HERE, *command)

    def listen(self, here, around):
        """Takes and ends connections at these ports."""
        for name, ports in ((self.HERE, here), (self.AROUND, around)):
            command = ["ip", "netns", "exec", name, "python3", "-c", self.LISTEN, *ports.split()]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            self._stack.callback(process.wait)
            self._stack.callback(process.kill)
            self._stack.callback(process.stdout.close)
            if process.stdout.readline() != b"up\n":
                raise RuntimeError(f"nobody listens at {ports}")

    def come(self, come_from, *ports):
        """Which ports of the machine somebody with this address reaches."""
        told = self._around("python3", "-c", self.CONNECT, come_from, self._own, *ports)
        return {int(port) for port in told.split()}

    def go(self, *ports):
        """Which ports of the other one the machine reaches."""
        told = self.inside("python3", "-c", self.CONNECT, self._own, self._other, *ports)
        return {int(port) for port in told.split()}

    def flood(self, come_from, port, count):
        """How many of so many connections at once get in, and within what time."""
        came, seconds = self._around("python3", "-c", self.FLOOD, come_from, self._own, port, count).split()
        return int(came), float(seconds)

    def _around(self, *command):
        return self._in(self.AROUND, *command)

    @staticmethod
    def _in(name, *command):
        return run("ip", "netns", "exec", name, *command)


class Systemd(unittest.TestCase):
    UNIT = DEPLOY / "systemd/sealcast.service"

    def test_the_unit(self):
        with tempfile.TemporaryDirectory() as folder:
            # systemd looks for the program, too.
            path = pathlib.Path(folder) / "sealcast.service"
            path.write_text(self.UNIT.read_text().replace("/usr/local/bin/sealcast", "/bin/true"))
            self.assertEqual(run("systemd-analyze", "verify", path).strip(), "")
            told = run("systemd-analyze", "security", "--offline=yes", path)
        exposure = float(re.search(r"Overall exposure level for .*?: ([\d.]+)", told)[1])
        self.assertLessEqual(exposure, 2.0, told)

    def test_it_has_time_to_leave(self):
        deadline = int(re.search(r"deadline: (\d+)s", (DEPLOY / "sealcast.yaml").read_text())[1])
        self.assertGreater(int(re.search(r"TimeoutStopSec=(\d+)s", self.UNIT.read_text())[1]), deadline)


class Sysctl(unittest.TestCase):
    def test_each_name_is_one_of_the_kernel(self):
        for line in (DEPLOY / "sysctl/90-sealcast.conf").read_text().splitlines():
            if line and not line.startswith("#"):
                name = line.split("=")[0].strip()
                path = pathlib.Path("/proc/sys") / name.replace(".", "/")
                # Where tests run in a container of their own, some are hidden.
                if path.parent.exists() and any(path.parent.iterdir()):
                    self.assertTrue(path.exists() or name.startswith("net."), name)


class Redis(unittest.TestCase):
    def test_what_scripts_wrote_outlives_a_restart(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        run("sh", DEPLOY / "init.sh", folder / "s", environment={"OWNERS": "no"})
        port, password = free_port(), (folder / "s/person/relay_password").read_text()
        command = ["redis-server", DEPLOY / "redis/redis.conf", "--port", str(port), "--bind", "127.0.0.1",
                   "--dir", folder, "--aclfile", folder / "s/redis/users.acl", "--appendfsync", "always"]
        cli = lambda *words: run("redis-cli", "-p", port, "--user", "relay", "--pass", password, "--no-auth-warning", *words)  # noqa: E731
        write = "redis.call('set', KEYS[1], 'a') redis.call('set', KEYS[2], 'b')"
        for turn in ("first", "second"):
            with contextlib.closing(Process(f"redis-{turn}", command, folder)) as process:
                wait_until(lambda: "Ready to accept connections" in process.log(), "redis")
                if turn == "first":
                    cli("evalsha", cli("script", "load", write).strip(), "2", "sc:{x}:1", "sc:{x}:2")
                self.assertEqual(cli("get", "sc:{x}:2").strip(), "b", process.log()[-2000:])


class Backup(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=recovery",
            "-keyout", self.folder / "key.pem", "-out", self.folder / "cert.pem")
        self.sealed = {"RECOVERY_CERT": str(self.folder / "cert.pem")}
        self.opened = {"RECOVERY_KEY": str(self.folder / "key.pem")}

    @contextlib.contextmanager
    def redis(self, data):
        port = free_port()
        command = ["redis-server", "--port", str(port), "--dir", data, "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        with contextlib.closing(Process(f"redis-{data.name}", command, self.folder)) as process:
            def answers():
                if not process.runs():
                    raise RuntimeError(process.log())
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0
            wait_until(answers, "redis")
            yield lambda *command: run("redis-cli", "-p", port, *command).strip()

    def test_what_was_kept_comes_back(self):
        data, restored, kept = self.folder / "data", self.folder / "restored", self.folder / "kept"
        data.mkdir(), restored.mkdir()
        with self.redis(data) as cli:
            for number in range(50):
                cli("set", f"sc:{number}", f"value {number}")
            path = run(DEPLOY / "backup.sh", kept, data, environment=self.sealed).strip()
            cli("set", "sc:late", "not in the backup")
        self.assertTrue(path.endswith(".cms"))
        self.assertNotIn(b"value 7", pathlib.Path(path).read_bytes())
        run(DEPLOY / "backup.sh", "--restore", path, restored, environment=self.opened)
        with self.redis(restored) as cli:
            self.assertEqual(cli("dbsize"), "50")
            self.assertEqual(cli("get", "sc:7"), "value 7")
        # It overwrites nothing.
        run(DEPLOY / "backup.sh", "--restore", path, restored, environment=self.opened, ok=False)

    def test_a_backup_that_was_changed_is_refused(self):
        data, restored = self.folder / "data", self.folder / "restored"
        data.mkdir(), restored.mkdir()
        with self.redis(data) as cli:
            cli("set", "a", "b")
            path = pathlib.Path(run(DEPLOY / "backup.sh", self.folder / "kept", data, environment=self.sealed).strip())
        changed = bytearray(path.read_bytes())
        changed[-40] ^= 1
        path.write_bytes(changed)
        run(DEPLOY / "backup.sh", "--restore", path, restored, environment=self.opened, ok=False)
        self.assertFalse((restored / "appendonlydir").exists())

    def test_seven_days_and_four_weeks_stay(self):
        data, kept = self.folder / "data", self.folder / "kept"
        (data / "appendonlydir").mkdir(parents=True), kept.mkdir()
        (data / "appendonlydir/appendonly.aof.manifest").write_text("file x seq 1 type b\n")
        today = datetime.datetime.now(datetime.timezone.utc)
        for days in range(1, 60):
            day = today - datetime.timedelta(days=days)
            (kept / f"redis-{day:%Y%m%d}T030000Z.tar.gz.cms").write_text("x")
        run(DEPLOY / "backup.sh", kept, data, environment=self.sealed)
        left = {datetime.datetime.strptime(path.name[6:14], "%Y%m%d").date() for path in kept.iterdir()}
        self.assertTrue({(today - datetime.timedelta(days=days)).date() for days in range(7)} <= left)
        weeks = {day.isocalendar()[:2] for day in left}
        self.assertEqual(len(weeks), 4)
        self.assertLessEqual(len(left), 11)
