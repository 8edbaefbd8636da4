"""The official Python SDK and the official Python library of the server API."""

import asyncio
import unittest

import cent
import centrifuge

from node import API_KEY, Node, token

WAIT = 10


class ServerApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = cls.enterClassContext(Node())
        cls.client = cent.Client(cls.node.api, API_KEY)

    def publish(self, channel, **more):
        return self.client.publish(cent.PublishRequest(channel=channel, data={"a": 1}, **more))

    def test_publish_history_and_removal(self):
        self.assertEqual([self.publish("kept").offset for _ in range(3)], [1, 2, 3])
        history = self.client.history(cent.HistoryRequest(channel="kept", limit=2))
        self.assertEqual([one.offset for one in history.publications], [1, 2])
        self.assertEqual((history.offset, history.publications[0].data), (3, {"a": 1}))
        self.client.history_remove(cent.HistoryRemoveRequest(channel="kept"))
        history = self.client.history(cent.HistoryRequest(channel="kept", limit=2))
        self.assertEqual((history.publications, history.offset), ([], 3))

    def test_a_repeated_key_publishes_once(self):
        first = self.publish("once", idempotency_key="key")
        self.assertTrue(first.offset)
        self.assertEqual(self.publish("once", idempotency_key="key"), first)
        self.assertEqual(self.publish("once").offset, first.offset + 1)

    def test_broadcast_answers_for_each_channel(self):
        channels = ["one", "two", "undefined_channel:1"]
        answers = self.client.broadcast(cent.BroadcastRequest(channels=channels, data={}))
        self.assertEqual([one.error and one.error.code for one in answers.responses], [None, None, 102])

    def test_an_unknown_namespace_is_an_error(self):
        with self.assertRaises(cent.CentApiResponseError) as caught:
            self.publish("undefined_channel:123")
        self.assertEqual((caught.exception.code, caught.exception.message), (102, "unknown channel"))

    def test_a_wrong_key_is_unauthorized(self):
        with self.assertRaises(cent.CentUnauthorizedError):
            cent.Client(self.node.api, "wrong").info(cent.InfoRequest())

    def test_a_batch_answers_in_order(self):
        requests = [
            cent.PublishRequest(channel="batch", data={}),
            cent.UnsubscribeRequest(user="nobody", channel="batch"),
            cent.PresenceStatsRequest(channel="batch"),
        ]
        published, _, stats = self.client.batch(cent.BatchRequest(requests=requests)).replies
        self.assertEqual((published.offset, stats.num_clients), (1, 0))

    def test_info_names_the_node(self):
        (node,) = self.client.info(cent.InfoRequest()).nodes
        self.assertTrue(node.uid and node.name and node.version)


class Events(centrifuge.SubscriptionEventHandler, centrifuge.ClientEventHandler):
    """Puts everything that happens in a queue, by name."""

    def __init__(self):
        self.queue = asyncio.Queue()

    async def on_join(self, context):
        await self.queue.put(("join", context.info.user))

    async def on_publication(self, context):
        channel = getattr(context, "channel", None)
        await self.queue.put(("publication", channel, context.pub.data))

    async def on_disconnected(self, context):
        await self.queue.put(("disconnected", context.code, context.reason))

    async def next(self, name):
        while True:
            event = await asyncio.wait_for(self.queue.get(), WAIT)
            if event[0] == name:
                return event[1:]


class ClientSdk(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = cls.enterClassContext(Node())

    async def check(self, name, protobuf, payload):
        events = Events()
        connection = Events()
        client = centrifuge.Client(
            self.node.websocket,
            token=token(name),
            events=connection,
            use_protobuf=protobuf,
        )
        subscription = client.new_subscription(name, events)
        await client.connect()
        await subscription.subscribe()
        await subscription.ready()
        self.assertEqual(await events.next("join"), (name,))
        await subscription.publish(payload)
        self.assertEqual((await events.next("publication"))[-1], payload)
        history = await subscription.history(limit=10)
        self.assertEqual([one.data for one in history.publications], [payload])
        self.assertEqual(len((await subscription.presence()).clients), 1)
        stats = await subscription.presence_stats()
        self.assertEqual((stats.num_clients, stats.num_users), (1, 1))

        async with cent.AsyncClient(self.node.api, API_KEY) as server:
            await server.subscribe(cent.SubscribeRequest(user=name, channel=f"server-{name}"))
            await server.publish(cent.PublishRequest(channel=f"server-{name}", data={"s": 1}))
            channel, _ = await connection.next("publication")
            self.assertEqual(channel, f"server-{name}")
            await server.disconnect(cent.DisconnectRequest(user=name))
        self.assertEqual(await connection.next("disconnected"), (3503, "force disconnect"))

    async def test_json(self):
        await self.check("json", False, {"x": 1})

    async def test_protobuf(self):
        await self.check("protobuf", True, b'{"x": 1.0}')


if __name__ == "__main__":
    unittest.main()
