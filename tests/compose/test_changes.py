"""What an operator does to the stack while it is used: another version, and back; a backup, and its
restore by the runbook."""

import asyncio
import json
import re
import shlex
import subprocess
import time

import websockets
from crowd import CLIENTS, back_in_time, disturb
from stack import Stack

NODES = ("node1", "node2", "node3")
NEXT = "0.1.1-test"
# Begins, and never serves.
BROKEN = "0.1.2-broken"


class Changes(Stack):
    url = "ws://127.0.0.1:8000/connection/websocket"

    # In this order: each leaves the stack as the next needs it.

    def test_1_another_version_and_back_under_clients(self):
        subprocess.run(["docker", "tag", "sealcast:0.1.0", f"sealcast:{NEXT}"], check=True)
        self.assertIn("no image", self.script("roll.sh", "0.0.0-none", status=1))
        for script, version in (("roll.sh", [NEXT]), ("rollback.sh", [])):
            seconds = []

            def roll(script=script, version=version, seconds=seconds):
                began = time.monotonic()
                self.assertIn("every node was replaced", self.script(script, *version))
                seconds.append(time.monotonic() - began)

            crowd, publisher = asyncio.run(disturb(self, roll))
            print(
                f"\n{script}: three nodes after {seconds[0]:.0f} s; "
                f"{publisher.failed} of {publisher.sent} calls of the server API failed"
            )
            self.assertGreaterEqual(back_in_time(crowd, script), CLIENTS)
            self.assertLess(publisher.failed / publisher.sent, 0.001)
            self.assertEqual(self.images(), {(version or ["0.1.0"])[0]: 3})

    def test_2_a_version_that_does_not_serve_stops_at_the_first_node(self):
        recipe = 'FROM sealcast:0.1.0\nCMD ["health", "--help"]\n'
        subprocess.run(
            ["docker", "build", "--quiet", "--tag", f"sealcast:{BROKEN}", "-"],
            input=recipe, text=True, check=True, capture_output=True,
        )
        told = self.run_there(self.root / "deploy/roll.sh", BROKEN, ROLL_SECONDS="20")
        self.assertEqual(told.returncode, 1, told.stdout)
        self.assertRegex(told.stdout, "not within 20 s: node1: .*rollback.sh")
        self.assertEqual(self.images(), {BROKEN: 1, "0.1.0": 2})
        self.assertIn("result", self.api("publish", {"channel": "chat:room", "data": {}}))
        self.assertIn("every node was replaced", self.script("rollback.sh"))
        self.assertEqual(self.images(), {"0.1.0": 3})

    def test_3_no_node_leaves_while_another_is_missing(self):
        self.compose("stop", "node3")
        self.wait_until(lambda: self.balanced() == 2, "node3 is out of balance")
        self.assertIn("node1 stays: another node is not in balance", self.script("roll.sh", status=1))
        self.assertEqual(self.state("node1"), "running healthy")
        self.up()
        self.wait_until(lambda: self.balanced() == 3, "node3 is in balance")

    def test_4_a_backup_comes_back_by_the_runbook(self):
        self.publish("kept", 5)
        position = asyncio.run(self.position("chat:kept"))
        path = self.backup()
        self.publish("kept", 3)
        late = asyncio.run(self.position("chat:kept"))
        *commands, last = self.runbook(path)
        for command in commands:
            done = self.run_there("bash", "-euc", command)
            self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}")
        # An alert of what was away meanwhile may still fire.
        self.assertEqual(last, "deploy/check.sh")
        self.wait_until(lambda: self.run_there("bash", "-euc", last).returncode == 0, "all is well", 300)
        self.assertEqual(len(self.history("kept")), 5)
        # Who was there at the time of the backup misses nothing; who heard more is told.
        self.assertTrue(asyncio.run(self.recovered("chat:kept", position)))
        self.assertFalse(asyncio.run(self.recovered("chat:kept", late)))

    def backup(self):
        """Encrypted, of the Redis that runs; its path in the clone."""
        made = self.run_there("bash", "-euc", self.code("docs/runbooks/restore.md", "openssl"))
        self.assertEqual(made.returncode, 0, made.stdout)
        done = subprocess.run(
            ["deploy/backup.sh", "kept"], cwd=self.root, env={**self.environment, "RECOVERY_CERT": "cert.pem"},
            text=True, capture_output=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def runbook(self, path):
        """The commands of its steps, with the name of our backup in the place of the example's."""
        page = (self.root / "docs/runbooks/restore.md").read_text()
        steps = re.findall(r"^\d\. (.*(?:\n   .*)*)", page, re.MULTILINE)
        commands = [code for step in steps for code in re.findall(r"`([^`]+)`", step) if " " in code or code.startswith("deploy/")]
        self.assertGreater(len(commands), 5)
        whole = "\n".join(commands)
        self.assertIn("redis-20260102T030000Z.tar.gz.cms", whole)
        return [command.replace("redis-20260102T030000Z.tar.gz.cms", shlex.quote(path)) for command in commands]

    def code(self, page, word):
        """The one block of commands of a page that begins with this word."""
        found = re.findall(rf"^```\n({word} .*?)^```", (self.root / page).read_text(), re.MULTILINE | re.DOTALL)
        self.assertEqual(len(found), 1, page)
        return found[0]

    def publish(self, room, count):
        for number in range(count):
            self.assertIn("result", self.api("publish", {"channel": f"chat:{room}", "data": {"n": number}}))

    def history(self, room):
        return self.api("history", {"channel": f"chat:{room}", "limit": 100})["result"]["publications"]

    async def position(self, channel):
        return await self.subscribe(channel)

    async def recovered(self, channel, position):
        return (await self.subscribe(channel, {"recover": True, **position}))["recovered"]

    async def subscribe(self, channel, more=None):
        """The offset and epoch that a client is told, and whether it recovered."""
        async with websockets.connect(self.url) as client:
            await client.send(json.dumps({"id": 1, "connect": {"token": self.token("ada")}}))
            await client.send(json.dumps({"id": 2, "subscribe": {"channel": channel, **(more or {})}}))
            while True:
                for line in (await asyncio.wait_for(client.recv(), 20)).split("\n"):
                    reply = json.loads(line)
                    if reply.get("id") == 2:
                        told = reply["subscribe"]
                        known = {"offset": told.get("offset", 0), "epoch": told["epoch"]}
                        return {**known, "recovered": told.get("recovered", False)} if more else known

    def images(self):
        """How many nodes run each version."""
        versions = [image.rpartition(":")[2] for image in self.compose("ps", "--all", "--format", "{{.Image}}", *NODES).split()]
        return {version: versions.count(version) for version in versions}

    def balanced(self):
        """How many nodes the load balancer sends clients to."""
        said = self.compose(
            "exec", "-T", "haproxy", "bash", "-c",
            "exec 3<> /dev/tcp/127.0.0.1/8405 && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3",
        )
        return len(re.findall(r'^haproxy_server_status\{proxy="nodes",server="\w+",state="UP"\} 1', said, re.MULTILINE))

    def wait_until(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.5)
