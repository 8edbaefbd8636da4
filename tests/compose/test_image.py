"""The image of a node, built from source by its Dockerfile."""

import json
import os
import re
import subprocess
import time

from stack import Clone

LARGEST = 40 * 1000 * 1000
IMAGE = "sealcast:0.1.0"


class Image(Clone):
    def build(self):
        """How long it took, and what was compiled."""
        began = time.monotonic()
        said = self.compose("--progress", "plain", "build", "node1")
        return time.monotonic() - began, set(re.findall(r"Compiling ([\w-]+) v", said))

    def test_it_is_small_and_built_quickly_again(self):
        first, compiled = self.build()
        again, unchanged = self.build()
        main = self.root / "src/main.rs"
        main.write_text(main.read_text() + "\n// Changed.\n")
        changed, own = self.build()
        size = self.inspect()["Size"]
        caches = "nothing kept" if "tokio" in compiled else "what earlier builds kept"
        print(
            f"\nimage: {size / 1e6:.1f} MB; built with {caches} in {first:.0f} s, unchanged in {again:.0f} s, "
            f"after a change in {changed:.0f} s; load average {os.getloadavg()[0]:.1f}"
        )
        self.assertLess(size, LARGEST)
        self.assertEqual(unchanged, set())
        self.assertIn("sealcast", own)
        self.assertLessEqual(own, {"sealcast", "sealcast-wire", "sealcast-client"})

    def test_there_is_one_program_and_no_root(self):
        self.build()
        config = self.inspect()["Config"]
        self.assertEqual(config["User"], "10001:10001")
        self.assertEqual(config["Healthcheck"]["Test"], ["CMD", "/sealcast", "health", "--quiet"])
        made = subprocess.run(["docker", "create", IMAGE], check=True, capture_output=True, text=True).stdout.strip()
        self.addCleanup(subprocess.run, ["docker", "rm", made], check=True, capture_output=True)
        files = subprocess.run(f"docker export {made} | tar -t", shell=True, check=True, capture_output=True, text=True).stdout
        # The rest is what the engine makes for each container.
        own = [path for path in files.split() if not path.startswith((".dockerenv", "dev/", "etc/", "proc/", "sys/"))]
        self.assertEqual(own, ["sealcast"])

    @staticmethod
    def inspect():
        return json.loads(subprocess.run(["docker", "image", "inspect", IMAGE], check=True, capture_output=True).stdout)[0]
