"""The load scripts: their goals hold at the size for two cores, and are missed when a node is slow."""

import contextlib
import os
import pathlib
import re
import subprocess
import threading
import time

from stack import Stack

# Long enough that people notice, short enough that the load balancer's checks do not.
PULSE_SECONDS = 0.7


class Load(Stack):
    # People whose cursors move 60 times a second send more than the limits of people who write.
    variables = {"STACK_CONN_COMMANDS": "none", "STACK_USER_MESSAGES": "none"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.before_others()

    @classmethod
    def before_others(cls):
        """What is measured is the stack, not what else this machine does at the time: containers get
        nearly all of the processor when they want it."""
        # Back to the kernel's default, not to what was there: a run that was killed may have left it.
        for path, most, default in (
            ("/sys/fs/cgroup/cpu/docker/cpu.shares", "100000", "1024"), ("/sys/fs/cgroup/docker/cpu.weight", "10000", "100"),
        ):
            share = pathlib.Path(path)
            if share.exists():
                cls.addClassCleanup(share.write_text, default)
                share.write_text(most)

    def run_load(self, *scripts, **environment):
        done = self.run_there(self.root / "load-tests/run.sh", *scripts, **environment)
        print("\n" + "\n".join(re.findall(r"^(?:==== .*|  met .*|  MISSED .*|goals were .*|every goal .*)", done.stdout, re.MULTILINE)))
        print(f"load average: {os.getloadavg()[0]:.1f}")
        return done

    def test_1_every_goal_is_met(self):
        done = self.run_load()
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])

    def test_2_goals_are_missed_when_a_node_is_slow(self):
        with self.slow("node2"):
            done = self.run_load("chat")
        self.assertEqual(done.returncode, 1, done.stdout[-3000:])
        self.assertRegex(done.stdout, r"MISSED delivery_time")
        self.assertRegex(done.stdout, r"met    lost: ")

    @contextlib.contextmanager
    def slow(self, node):
        """The node stands still for as long as it goes, again and again."""
        over = threading.Event()
        container = self.compose("ps", "--quiet", node).strip()

        def pulses():
            while not over.is_set():
                for verb in ("pause", "unpause"):
                    subprocess.run(["docker", verb, container], check=True, capture_output=True)
                    time.sleep(PULSE_SECONDS)

        thread = threading.Thread(target=pulses)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def test_3_a_soak(self):
        done = self.run_load("soak", MINUTES=os.environ.get("SOAK_MINUTES", "3"))
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])

    def test_4_one_address_is_limited_as_shipped(self):
        limits = ("LB_IP_CONNECTIONS", "LB_IP_CONNECTS", "LB_IP_REQUESTS", "LB_IP_ERRORS")
        shipped = {name: "" for name in limits}
        self.compose("up", "--detach", "--no-build", "--wait", **shipped)
        done = self.run_load("limits")
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
