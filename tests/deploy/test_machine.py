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
        run("iptables-restore", "--test", DEPLOY / "firewall/node.iptables")

    def test_only_who_may_comes_in(self):
        """A node's machine and its neighbours, as namespaces of this one's network."""
        node, other = "sealcast-t-node", "sealcast-t-other"
        with contextlib.ExitStack() as stack:
            for name in (node, other):
                subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)
                run("ip", "netns", "add", name)
                stack.callback(run, "ip", "netns", "del", name)
            inside = lambda name, *command: run("ip", "netns", "exec", name, *command)  # noqa: E731
            run("ip", "link", "add", "sct0", "netns", node, "type", "veth", "peer", "name", "sct1", "netns", other)
            inside(node, "ip", "addr", "add", "10.0.2.11/16", "dev", "sct0")
            # A load balancer, monitoring, a stranger, and Redis.
            for address in ("10.0.1.10", "10.0.3.10", "10.0.7.7", "10.0.4.10"):
                inside(other, "ip", "addr", "add", f"{address}/16", "dev", "sct1")
            for name, link in ((node, "sct0"), (other, "sct1")):
                inside(name, "ip", "link", "set", "lo", "up")
                inside(name, "ip", "link", "set", link, "up")
            inside(node, "nft", "-f", DEPLOY / "firewall/node.nft")
            for name, ports in ((node, "8000 9000 6379 22"), (other, "6379 8080")):
                listen = (
                    "import socket,sys,time\n"
                    "s=[socket.create_server(('',int(p))) for p in sys.argv[1:]]\n"
                    "print('up',flush=True); time.sleep(300)"
                )
                process = subprocess.Popen(
                    ["ip", "netns", "exec", name, "python3", "-c", listen, *ports.split()], stdout=subprocess.PIPE
                )
                stack.callback(process.wait)
                stack.callback(process.kill)
                self.assertEqual(process.stdout.readline(), b"up\n")
                stack.callback(process.stdout.close)
            for come_from, open_ports in (
                ("10.0.1.10", {8000}), ("10.0.3.10", {9000}), ("10.0.7.7", set()),
            ):
                self.assertEqual(self.reached(other, come_from, "10.0.2.11", (22, 6379, 8000, 9000)), open_ports, come_from)
            self.assertEqual(self.reached(node, "10.0.2.11", "10.0.4.10", (6379, 8080)), {6379})

    @staticmethod
    def reached(namespace, come_from, to, ports):
        program = (
            "import socket,sys\n"
            "for p in sys.argv[3:]:\n"
            "  try: socket.create_connection((sys.argv[2],int(p)),0.7,(sys.argv[1],0)).close(); print(p)\n"
            "  except OSError: pass\n"
        )
        told = run("ip", "netns", "exec", namespace, "python3", "-c", program, come_from, to, *ports)
        return {int(port) for port in told.split()}


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
