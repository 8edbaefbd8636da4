#!/usr/bin/env python3
"""Looks through what every node of a test run has logged for what must never be there (T-52).

    tests/logs/scan.py FOLDER      the folder with *.log of nodes and `signatures` of tokens

Canaries: the word itself, which stands in the tests' keys, secrets, users and payloads; anything
that looks like a token; the signature of every token that a test has made, whole, wherever it
stands; and a client's address in full. That too little was logged is an error, and so is a scan
that does not find what is planted for it.
"""

import contextlib
import io
import json
import pathlib
import re
import sys
import tempfile

LEAST_FILES, LEAST_LINES, LEAST_SIGNATURES = 10, 200, 20
WORD = re.compile(r"canary", re.IGNORECASE)
TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}")
# What stands for a signature is one word of Base64.
SEGMENT = re.compile(r"[\w-]{20,}")
NETWORK = re.compile(r"(\d+\.\d+\.\d+\.0/24|[0-9a-f:]+::/48)$")


def main(folder):
    folder = pathlib.Path(folder)
    logs = sorted(folder.glob("*.log"))
    signatures = read_signatures(folder)
    lines, found = 0, []
    for path in logs:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            lines += 1
            found += [f"{path.name}:{number}: {what}" for what in findings(line, signatures)]
    print(f"{len(logs)} logs, {lines} lines, {len(signatures)} tokens that tests have made")
    for one in found[:20]:
        print(one)
    too_little = [
        f"{count} {what}, which is too few to say anything"
        for count, least, what in (
            (len(logs), LEAST_FILES, "logs"),
            (lines, LEAST_LINES, "lines"),
            (len(signatures), LEAST_SIGNATURES, "tokens"),
        )
        if count < least
    ]
    for one in too_little:
        print(one)
    return 1 if found or too_little else 0


def read_signatures(folder):
    path = folder / "signatures"
    words = path.read_text().split() if path.exists() else []
    return {word for word in words if len(word) >= 20}


def findings(line, signatures):
    """What is in a line that must not be; never the thing itself."""
    if WORD.search(line):
        yield "a canary"
    if TOKEN.search(line):
        yield "what looks like a token"
    if any(word in signatures for word in SEGMENT.findall(line)):
        yield "the signature of a token"
    try:
        address = json.loads(line).get("address", "")
    except (ValueError, AttributeError):
        address = ""
    if isinstance(address, str) and address and not NETWORK.match(address):
        yield "an address in full"


def self_test():
    """Each canary is found where it is planted, and nothing else; and no silence passes for peace."""
    signature = "c2lnbmF0dXJlIG9mIGEgdG9rZW4gb2YgdGVzdHM"
    good = json.dumps({"event": "connected", "address": "127.0.0.0/24", "user": "u_abc"})
    planted = {
        "a canary": json.dumps({"event": "x", "user": "Canary-user-7"}),
        "what looks like a token": f"refused eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.{signature[:5]}",
        "the signature of a token": f"refused, with {signature} at the end",
        "an address in full": json.dumps({"event": "x", "address": "127.0.0.1"}),
    }
    assert list(findings(good, {signature})) == []
    for what, line in planted.items():
        assert list(findings(line, {signature})) == [what], what
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        assert main(folder) == 1, "nothing was logged"
        for number in range(LEAST_FILES):
            text = "\n".join([good] * (LEAST_LINES // LEAST_FILES + 1))
            (folder / f"{number}.log").write_text(text)
        assert main(folder) == 1, "no token was made"
        many = (f"{number:030}" for number in range(LEAST_SIGNATURES))
        (folder / "signatures").write_text("\n".join([signature, *many]))
        assert main(folder) == 0, "all is well"
        for line in planted.values():
            last = folder / f"{LEAST_FILES - 1}.log"
            before = last.read_text()
            last.write_text(f"{before}\n{line}\n{good}\n")
            assert main(folder) == 1, line
            last.write_text(before)
        (folder / "0.log").write_text("")
        (folder / "1.log").write_text("")
        assert main(folder) == 1, "too few lines"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with contextlib.redirect_stdout(io.StringIO()):
        self_test()
    sys.exit(main(sys.argv[1]))
