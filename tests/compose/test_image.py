"""The image of a node, built from source by its Dockerfile as it is."""

import json
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import time

from stack import Clone

LARGEST = 40 * 1000 * 1000
IMAGE = "sealcast:0.1.0"
# Of a build for which nothing has changed. Far more than the second that it takes.
UNCHANGED_SECONDS = 120
# As docker-compose.yml runs it.
HARDENED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none"]
# The kind of a segment of a program that names its loader.
INTERPRETER = 3


class Image(Clone):
    def build(self):
        """How long it took, and what was compiled."""
        began = time.monotonic()
        said = self.compose("--progress", "plain", "build", "node1")
        return time.monotonic() - began, set(re.findall(r"Compiling ([\w-]+) v", said))

    # In this order: the first builds what the others look at.

    def test_1_it_is_small_and_built_quickly_again(self):
        first, compiled = self.build()
        again, unchanged = self.build()
        main = self.root / "src/main.rs"
        before = main.read_text()
        main.write_text(before + "\n// Changed.\n")
        changed, own = self.build()
        size = self.inspect()["Size"]
        caches = "nothing kept" if "tokio" in compiled else "what earlier builds kept"
        print(
            f"\nimage: {size / 1e6:.1f} MB; built with {caches} in {first:.0f} s, unchanged in {again:.0f} s, "
            f"after a change in {changed:.0f} s; load average {os.getloadavg()[0]:.1f}"
        )
        self.assertLess(size, LARGEST)
        self.assertEqual(unchanged, set())
        self.assertLess(again, UNCHANGED_SECONDS)
        self.assertIn("sealcast", own)
        self.assertLessEqual(own, {"sealcast", "sealcast-wire", "sealcast-client"})
        main.write_text(before)
        self.build()

    def test_2_there_is_one_program_and_no_root(self):
        config = self.inspect()["Config"]
        self.assertEqual(config["User"], "10001:10001")
        self.assertEqual(config["Entrypoint"], ["/sealcast"])
        self.assertEqual(config["Healthcheck"]["Test"], ["CMD", "/sealcast", "health", "--quiet"])
        made = self.docker("create", IMAGE).strip()
        self.addCleanup(self.docker, "rm", made)
        files = subprocess.run(f"docker export {made} | tar -t", shell=True, check=True, capture_output=True, text=True).stdout
        # The rest is what the engine makes for each container.
        own = [path for path in files.split() if not path.startswith((".dockerenv", "dev/", "etc/", "proc/", "sys/"))]
        self.assertEqual(own, ["sealcast"])
        self.docker("run", "--rm", "--entrypoint", "sh", IMAGE, "-c", "true", ok=False)
        program = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "sealcast"
        self.docker("cp", f"{made}:/sealcast", program)
        self.assertNotIn(INTERPRETER, segments(program.read_bytes()), "it wants a loader, and libraries with it")

    def test_3_it_says_whether_it_is_well(self):
        often = ["--health-interval", "1s", "--health-timeout", "2s", "--health-retries", "2", "--health-start-period", "1s"]
        node = self.docker("run", "--detach", *HARDENED, *often, IMAGE, "serve", "--dev").strip()
        self.addCleanup(self.docker, "rm", "--force", node)
        self.wait_for_health(node, "healthy")
        process = json.loads(self.docker("inspect", node))[0]["State"]["Pid"]
        user = re.search(r"^Uid:\s+(.*)$", pathlib.Path(f"/proc/{process}/status").read_text(), re.MULTILINE)[1]
        self.assertEqual(set(user.split()), {"10001"})
        # It stands still, and answers nobody.
        self.docker("kill", "--signal", "STOP", node)
        self.wait_for_health(node, "unhealthy")
        self.docker("kill", "--signal", "CONT", node)
        self.wait_for_health(node, "healthy")

    def wait_for_health(self, container, expected):
        end = time.monotonic() + 60
        while (health := json.loads(self.docker("inspect", container))[0]["State"]["Health"])["Status"] != expected:
            self.assertLess(time.monotonic(), end, f"not {expected}: {health}")
            time.sleep(0.5)

    def inspect(self):
        return json.loads(self.docker("image", "inspect", IMAGE))[0]

    def docker(self, *arguments, ok=True):
        """What the command printed; fails unless it ends as expected."""
        done = subprocess.run(["docker", *map(str, arguments)], text=True, capture_output=True)
        self.assertEqual(done.returncode == 0, ok, done.stdout + done.stderr)
        return done.stdout


def segments(program):
    """The kinds of the segments of an ELF program of 64 bits."""
    place, = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    return [struct.unpack_from("<I", program, place + size * number)[0] for number in range(count)]
