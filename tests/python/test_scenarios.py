"""The list of scenarios is complete: a test in each encoding, and one by `cent` for an API side."""

import inspect
import pathlib
import unittest

import centrifuge

from sdk import CENT, ENCODINGS, SCENARIOS, WITH_API_SIDE, scenario


class Scenarios(unittest.TestCase):
    def test_every_scenario_has_a_test_in_each_encoding(self):
        tested = {
            (getattr(method, "scenario", None), getattr(method, "by", None)) for method in _tests()
        }
        wanted = {(name, encoding) for name in SCENARIOS for encoding in ENCODINGS}
        wanted |= {(name, CENT) for name in WITH_API_SIDE}
        self.assertEqual(sorted(wanted - tested), [])

    def test_what_is_not_in_the_list_is_not_a_scenario(self):
        with self.assertRaisesRegex(AssertionError, "not in the list"):
            scenario("something else")

    def test_what_the_sdk_cannot_do(self):
        """Why `batching` and `idempotent publish` begin at the server API here.

        The SDK sends each command in a frame of its own, and the client protocol has no
        idempotency keys. When this fails, those scenarios have a client side to test.
        """
        self.assertFalse([name for name in vars(centrifuge.Client) if "batch" in name])
        options = set(inspect.signature(centrifuge.Client.publish).parameters)
        self.assertEqual(options, {"self", "channel", "data", "timeout"})


def _tests():
    """The methods of all tests of this directory, as the runner finds them."""
    suites = [unittest.defaultTestLoader.discover(str(pathlib.Path(__file__).parent))]
    while suites:
        one = suites.pop()
        if isinstance(one, unittest.TestSuite):
            suites.extend(one)
        else:
            yield getattr(one, one._testMethodName)
