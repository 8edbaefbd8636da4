"""The official SDK in both encodings, with what happens on record, and the list of scenarios."""

import asyncio
import collections
import contextlib
import inspect
import json
import pathlib
import unittest

import cent
import centrifuge

from node import API_KEY, EVIDENCE, Node, token
from proxy import Proxy

WAIT = 15

JSON, PROTOBUF, CENT = "json", "protobuf", "cent"
ENCODINGS = (JSON, PROTOBUF)

_LIST = json.loads((pathlib.Path(__file__).parents[1] / "sdk/scenarios.json").read_text())
SCENARIOS = _LIST["scenarios"]
# Those with a side that is played through the official library of the server API as well.
WITH_API_SIDE = _LIST["with_api_side"]


def scenario(name, by=ENCODINGS):
    """Marks a method as a test of a scenario of the list, in its words.

    `SdkTest` makes one test for each encoding of it, which gets the encoding. With `by=CENT` it
    is a test as it stands, of the API side.
    """
    assert name in SCENARIOS, f"not in the list of scenarios: {name}"

    def mark(body):
        body.scenario = name
        body.by = by
        if by == CENT:
            body.__doc__ = f"cent: {name}"
        return body

    return mark


class Events:
    """Handlers of a client or a subscription that keep what happens until a test takes it."""

    def __init__(self):
        self._kept = []
        self._changed = asyncio.Event()

    def __getattr__(self, handler):
        if not handler.startswith("on_"):
            raise AttributeError(handler)

        async def keep(context):
            if handler in ("on_error", "on_disconnected"):
                EVIDENCE.told(str(getattr(context, "reason", None) or getattr(context, "error", "")))
            self._kept.append((handler.removeprefix("on_"), context))
            self._changed.set()

        return keep

    async def take(self, count, *names):
        """The first `count` events of these names not taken before, in order: (name, context)."""
        try:
            async with asyncio.timeout(WAIT):
                while len(found := [event for event in self._kept if event[0] in names]) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{count} of {names} did not come: {self._kept}") from None
        taken = found[:count]
        self._kept = [event for event in self._kept if not any(event is one for one in taken)]
        return taken

    async def next(self, name):
        """The context of the next event of this name."""
        ((_, context),) = await self.take(1, name)
        return context

    async def publications(self, count):
        return [context.pub for _, context in await self.take(count, "publication")]

    def kept(self, *names):
        """What has come and was not taken."""
        return [event for event in self._kept if event[0] in names]


class SdkTest(unittest.IsolatedAsyncioTestCase):
    """Tests with a node of their own, as `node` says, and the server API as `api`."""

    node_options = {}

    def __init_subclass__(cls):
        for name, body in list(vars(cls).items()):
            if getattr(body, "by", None) == ENCODINGS:
                delattr(cls, name)
                for encoding in ENCODINGS:
                    setattr(cls, f"{name}_{encoding}", _in_encoding(body, encoding))

    @classmethod
    def setUpClass(cls):
        cls.node = cls.enterClassContext(Node(**cls.node_options))

    async def asyncSetUp(self):
        self.api = await self.enterAsyncContext(cent.AsyncClient(self.node.api, API_KEY))

    def new_client(self, encoding, user, place=None, **options):
        """A client that is not connected yet; it is disconnected when the test ends."""
        if "get_token" not in options:
            options.setdefault("token", token(user))
        client = centrifuge.Client(
            (place or self.node).websocket,
            Events(),
            use_protobuf=encoding == PROTOBUF,
            timeout=WAIT,
            min_reconnect_delay=0.05,
            max_reconnect_delay=0.4,
            proxy=None,
            **options,
        )
        self.addAsyncCleanup(client.disconnect)
        return client

    async def connect(self, encoding, user, place=None, **options):
        """A connected client. Its first connecting and connected are taken."""
        client = self.new_client(encoding, user, place, **options)
        await client.connect()
        await client.events.take(2, "connecting", "connected")
        return client

    async def subscribe(self, client, channel, **options):
        """A subscription that is subscribed. Its first subscribing and subscribed are taken."""
        subscription = client.new_subscription(channel, Events(), **options)
        await subscription.subscribe()
        await subscription.events.take(2, "subscribing", "subscribed")
        return subscription

    async def publish(self, channel, *values):
        """Through the server API, one after the other."""
        for value in values:
            EVIDENCE.published(value)
            await self.api.publish(cent.PublishRequest(channel=channel, data=value))

    async def proxy(self):
        return await self.enterAsyncContext(Proxy(self.node))

    @contextlib.asynccontextmanager
    async def dropped(self, client, proxy):
        """Resets the client's connection, the only one of `proxy`, and lets it back after the block.

        Fails if the SDK did not lose it by that, or was not away for all of the block.
        """
        self.assertEqual(client.state, centrifuge.ClientState.CONNECTED)
        self.assertEqual(proxy.cut(), 1)
        lost = await client.events.next("connecting")
        self.assertEqual((lost.code, lost.reason), (1, "transport closed"))
        yield
        self.assertEqual(client.state, centrifuge.ClientState.CONNECTING)
        proxy.mend()


def payload(encoding, value):
    """What the SDK of this encoding takes as a payload."""
    EVIDENCE.published(value)
    return value if encoding == JSON else json.dumps(value, ensure_ascii=False).encode()


def value_of(encoding, data):
    """The value of a received payload."""
    return data if encoding == JSON else json.loads(data)


def values_of(encoding, publications):
    return [value_of(encoding, one.data) for one in publications]


def _in_encoding(body, encoding):
    async def test(self):
        await body(self, encoding)

    assert inspect.iscoroutinefunction(body)
    test.__doc__ = f"{encoding}: {body.scenario}"
    test.scenario, test.by = body.scenario, encoding
    return test
