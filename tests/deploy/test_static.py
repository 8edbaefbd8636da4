"""What the programs themselves say of their configuration files, without starting anything."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from cluster import DEPLOY, ROOT


def run(*command, environment=None, ok=True):
    """What the command printed; fails unless it ends as expected."""
    done = subprocess.run(
        list(map(str, command)),
        env={"PATH": os.environ["PATH"], **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if (done.returncode == 0) != ok:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout}")
    return done.stdout


class Secrets(unittest.TestCase):
    """deploy/init.sh"""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def init(self, ok=True, **environment):
        return run("sh", DEPLOY / "init.sh", self.folder / "s", environment={"OWNERS": "no", **environment}, ok=ok)

    def files(self):
        return {path: path.read_bytes() for path in (self.folder / "s").rglob("*") if path.is_file()}

    def test_what_is_there_stays(self):
        self.init()
        before = self.files()
        self.init()
        self.assertEqual(self.files(), before)

    def test_each_stack_has_its_own(self):
        self.init()
        first = (self.folder / "s/node/token_key").read_text()
        self.assertRegex(first, "^[0-9a-f]{64}$")
        self.folder /= "other"
        self.folder.mkdir()
        self.init()
        self.assertNotEqual((self.folder / "s/node/token_key").read_text(), first)

    def test_nobody_else_reads_them(self):
        self.init()
        for path in self.files():
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_redis_gets_no_password_in_clear(self):
        self.init()
        users = (self.folder / "s/redis/users.acl").read_text()
        self.assertIn("user default off", users)
        self.assertNotIn("SHA256", users)
        for name in ("relay_password", "ops_password"):
            self.assertNotIn((self.folder / "s/person" / name).read_text(), users)

    def test_a_weak_secret_is_told(self):
        self.init()
        (self.folder / "s/person/token_key").write_text("secret")
        self.assertIn("token_key is shorter than 32", self.init(ok=False))

    def test_a_wrong_certificate_is_told(self):
        (self.folder / "tls.pem").write_text("nothing")
        self.assertIn("no certificate", self.init(ok=False, OWN=str(self.folder)))

    def test_a_key_of_another_certificate_is_told(self):
        self.init()
        pem = (self.folder / "s/person/tls.pem").read_text()
        certificate = pem[: pem.index("-----BEGIN PRIVATE KEY")]
        other = run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        given = self.folder / "tls.pem"
        given.write_text(certificate + other[other.index("-----BEGIN") :])
        self.assertIn("not the certificate's", self.init(ok=False, OWN=str(self.folder)))
        given.write_text(certificate)
        self.assertIn("no private key", self.init(ok=False, OWN=str(self.folder)))


class LoadBalancers(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        run("sh", DEPLOY / "init.sh", self.folder, environment={"OWNERS": "no"})
        self.certificate = self.folder / "lb/tls.pem"

    def test_haproxy(self):
        environment = {
            "LB_CERT": str(self.certificate),
            "LB_COOKIE_KEY": "k" * 32,
            **{f"LB_NODE{n}": f"127.0.0.1:800{n}" for n in (1, 2, 3)},
        }
        told = run("haproxy", "-c", "-f", DEPLOY / "haproxy/haproxy.cfg", environment=environment)
        self.assertNotIn("WARNING", told)
        del environment["LB_CERT"]
        run("haproxy", "-c", "-f", DEPLOY / "haproxy/haproxy.cfg", environment=environment, ok=False)

    def test_nginx(self):
        environment = {
            "LB_CERT": str(self.certificate),
            "LB_PID": str(self.folder / "pid"),
            # As shipped, but for the number of descriptors, which may be bounded where tests run.
            "LB_MAXCONN": "4000",
            **{f"LB_NODE{n}": f"127.0.0.1:800{n}" for n in (1, 2, 3)},
        }
        path = self.folder / "nginx.conf"
        path.write_text(run(DEPLOY / "nginx/render.sh", environment=environment))
        self.assertNotIn("${", path.read_text())
        told = run("nginx", "-t", "-c", path, "-e", "stderr")
        self.assertNotIn("[warn]", told)

    def test_nginx_takes_its_numbers_from_the_environment(self):
        made = run(DEPLOY / "nginx/render.sh", environment={"LB_IP_REQUESTS": "70", "LB_IP_CONNECTIONS": "30"})
        for directive in ("rate=420r/m", "burst=70 ", "rate=600r/m", "burst=100 ", "limit_conn addresses 30;", "server node1:8000 "):
            self.assertIn(directive, made)
        for number in ("", "many", "5; return 200", "-1"):
            told = run(DEPLOY / "nginx/render.sh", environment={"LB_IP_REQUESTS": number}, ok=False)
            self.assertIn("LB_IP_REQUESTS: not a number", told)

    def test_who_is_silent_between_two_pings_is_not_cut_off(self):
        documented = re.search(r'`client\.ping_interval`[^|]*\|[^|]*\| `"(\d+)s"`', (ROOT / "docs/configuration.md").read_text())
        ping = int(documented[1])
        self.assertNotIn("ping_interval", (DEPLOY / "sealcast.yaml").read_text())
        haproxy, nginx = (DEPLOY / "haproxy/haproxy.cfg").read_text(), (DEPLOY / "nginx/nginx.conf.template").read_text()
        for text, option in ((haproxy, "timeout tunnel"), (haproxy, "timeout server"), (nginx, "proxy_read_timeout"), (nginx, "proxy_send_timeout")):
            told = re.search(rf"^ *{option} (\d+)s;?$", text, re.MULTILINE)
            # One ping may be late or lost.
            self.assertGreater(int(told[1]), 2 * ping, option)


class Scripts(unittest.TestCase):
    def test_they_are_right_to_the_shell(self):
        for path in [*DEPLOY.rglob("*.sh"), *(ROOT / "load-tests").glob("*.sh"), *(ROOT / "tests/compose").glob("*")]:
            if path.is_file() and (first := path.read_bytes().split(b"\n")[0]).startswith(b"#!") and b"sh" in first:
                run("bash" if b"bash" in first else "sh", "-n", path)


class WithEngine(unittest.TestCase):
    """What asks docker, where that is the script `ENGINE`."""

    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "docker").write_text(self.ENGINE)
        (folder / "docker").chmod(0o755)
        self.path = f"{folder}:{os.environ['PATH']}"


class Pin(WithEngine):
    """deploy/pin.sh, with an engine that was told what it has."""

    DIGEST = "sha256:" + "0123456789abcdef" * 4
    ENGINE = """#!/bin/sh
case "$*" in
  *config) printf 'name: x\\nservices:\\n  node1:\\n    build:\\n      context: .\\n    image: sealcast:0.1.0\\n'
    printf '  redis:\\n    environment:\\n      image: none\\n    image: redis:7.4.1\\nvolumes:\\n  redis:\\n    image: none\\n' ;;
  *redis:7.4.1) [ -z "$PULLED" ] || echo "$PULLED" ;;
  *) exit 1 ;;
esac
"""

    def pin(self, pulled, ok=True):
        return run(DEPLOY / "pin.sh", environment={"PATH": self.path, "PULLED": pulled}, ok=ok)

    def test_what_was_pulled_is_pinned(self):
        self.assertEqual(
            self.pin(f"docker.io/library/redis@{self.DIGEST}"),
            f"services:\n  redis:\n    image: redis:7.4.1@{self.DIGEST}\n",
        )

    def test_what_was_not_pulled_is_told(self):
        for pulled in ("", "redis@sha256:0123"):
            self.assertIn("redis:7.4.1 has no digest", self.pin(pulled, ok=False))


class Roll(WithEngine):
    """deploy/roll.sh, with an engine whose answers are long."""

    # What is looked for comes first; who stops reading there must not take it for a failure.
    ENGINE = """#!/bin/sh
case "$*" in
  *exec*)
    for node in node1 node2 node3; do
      echo "haproxy_server_status{proxy=\\"nodes\\",server=\\"$node\\",state=\\"UP\\"} $UP"
    done
    echo sealcast_connections_waiting 0
    yes 'another_metric 1' 2> /dev/null | head -c 4000000 ;;
  *inspect*) echo healthy ;;
esac
"""

    def roll(self, up, ok=True):
        return run(DEPLOY / "roll.sh", environment={"PATH": self.path, "UP": up, "ROLL_SECONDS": "5"}, ok=ok)

    def test_every_node_is_replaced(self):
        self.assertIn("every node was replaced", self.roll("1"))

    def test_no_node_leaves_while_another_is_missing(self):
        self.assertEqual(self.roll("0", ok=False), "node1 stays: another node is not in balance\n")


class Pages(unittest.TestCase):
    def test_links_lead_somewhere(self):
        pages = [*(ROOT / "docs/runbooks").glob("*.md"), DEPLOY / "README.md", ROOT / "load-tests/README.md"]
        for page in pages:
            for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
                path, _, anchor = target.partition("#")
                found = page.parent / path if path else page
                if "://" in target:
                    continue
                self.assertTrue(found.exists(), f"{page}: {target}")
                if anchor:
                    titles = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
                    known = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
                    self.assertIn(anchor, known, f"{page}: {target}")

    def test_runbooks_name_scripts_that_exist(self):
        for page in (ROOT / "docs/runbooks").glob("*.md"):
            for path in re.findall(r"`((?:deploy|tests)/[\w./-]+\.(?:sh|py))", page.read_text()):
                self.assertTrue((ROOT / path).exists(), f"{page}: {path}")
