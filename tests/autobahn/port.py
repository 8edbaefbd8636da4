"""Imports the Autobahn test cases, which are Python 2, into Python 3.

The cases handle payloads as Python 2 byte strings. Here such a string becomes a `str` whose
characters are the bytes 0-255: sources are read as latin-1, which maps every byte of a literal to
one character, and `octets`/`text` convert at the border to the protocol. Nothing on disk is
changed; the few rewrites below are applied while a module is imported.
"""

import asyncio
import importlib.abc
import importlib.util
import pathlib
import re
import sys
import types

CASE_PACKAGE = "autobahntestsuite.case"


def octets(value):
    """The bytes a case means by `value`."""
    return value.encode("latin-1") if isinstance(value, str) else value


def text(value):
    """The string by which a case would know these bytes."""
    return bytes(value).decode("latin-1")


def load_cases(packages):
    """Case classes by their number ("6.4.1"), in the suite's order.

    `packages` is the directory that holds the unpacked `autobahn` and `autobahntestsuite`.
    """
    sys.path.insert(0, str(packages))
    sys.modules.setdefault("txaio", _timers_on_asyncio())
    suite = types.ModuleType("autobahntestsuite")
    suite.__path__ = [str(packages / "autobahntestsuite")]
    sys.modules["autobahntestsuite"] = suite
    sys.meta_path.insert(0, _CaseFinder(packages / "autobahntestsuite" / "case"))

    cases = importlib.import_module(CASE_PACKAGE)
    base = importlib.import_module(f"{CASE_PACKAGE}.case").Case
    # The original compares pickles, which in Python 3 also depend on object identity.
    base.compare = lambda self, left, right: left == right
    return {_number(case): case for case in cases.Cases}


def _number(case):
    return case.__name__.removeprefix("Case").replace("_", ".")


_REWRITES = [
    # Implicit relative imports.
    (r"^from (case\w*) import", r"from .\1 import"),
    # Old-style classes had no method resolution order to violate.
    (r"\(object, Case, \)", "(Case,)"),
    # Only self-tests that are never called print anything.
    (r"^(\s*)print\b.*$", r"\1pass"),
    # Integer division, in the one place where the suite divides.
    (r"len\(self\.payload\) / ", "len(self.payload) // "),
    # These two worked on byte strings.
    (r"\bbinascii\.b2a_hex\(", "_hex("),
    (r"\.validate\(", ".validate_text("),
]

# Compression, and the unlimited message that the suite itself leaves out: the first needs more
# than a loader, the second needs Twisted, and neither is part of the core.
_SKIPPED = re.compile(
    r"^from case(?:9_9_1|12_x_x) import \*$|^Case(?:s\.extend\(|SubCategories\.update\()Case1[23]_.*$",
    re.MULTILINE,
)


def _translate(source):
    source = _SKIPPED.sub("", source)
    for pattern, replacement in _REWRITES:
        source = re.sub(pattern, replacement, source, flags=re.MULTILINE)
    # The coding line describes the bytes on disk; the compiler gets text.
    return re.sub(r"^# coding=.*$", "#", source, count=1, flags=re.MULTILINE)


class _CaseFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    def find_spec(self, name, path=None, target=None):
        if name == CASE_PACKAGE:
            return importlib.util.spec_from_file_location(
                name,
                self.directory / "__init__.py",
                loader=self,
                submodule_search_locations=[str(self.directory)],
            )
        if name.startswith(CASE_PACKAGE + "."):
            file = self.directory / (name.rpartition(".")[2] + ".py")
            return importlib.util.spec_from_file_location(name, file, loader=self)
        return None

    def exec_module(self, module):
        from autobahn.websocket.utf8validator import Utf8Validator

        if not hasattr(Utf8Validator, "validate_text"):
            Utf8Validator.validate_text = lambda self, value: self.validate(octets(value))
        module.__dict__.update(xrange=range, unichr=chr, _hex=lambda value: octets(value).hex())
        file = module.__spec__.origin
        source = pathlib.Path(file).read_text(encoding="latin-1")
        exec(compile(_translate(source), file, "exec"), module.__dict__)


def _timers_on_asyncio():
    """The three functions Autobahn wants of `txaio`, which in its day could not do Python 3.11."""

    def resolve(future, value):
        if not future.done():
            future.set_result(value)

    def call_later(delay, call):
        loop = asyncio.get_running_loop()
        # Writes cut to pieces are spaced by 10 microseconds, which the loop would round up to a
        # millisecond; all that is wanted is a turn of the loop in between.
        return loop.call_later(delay, call) if delay >= 0.001 else loop.call_soon(call)

    txaio = types.ModuleType("txaio")
    txaio.create_future = lambda: asyncio.get_running_loop().create_future()
    txaio.resolve = resolve
    txaio.call_later = call_later
    return txaio
