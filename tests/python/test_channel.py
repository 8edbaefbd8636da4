"""Channels: many at once, publishing to them, batches, and what is refused."""

import asyncio

import cent
import centrifuge

from sdk import CENT, ENCODINGS, Events, SdkTest, payload, scenario, value_of, values_of

# Values that both encodings must carry unchanged.
VALUES = [
    {"text": "hello"},
    {"text": 'Grüße, 世界, 🦭, \u2028, <b>&amp;</b>, "quoted" \\ \n'},
    {"z": 1, "a": {"deep": [1, 2.5, -3, True, False, None, {"": ""}]}},
    {"large": 9223372036854775807, "small": 1e-7},
    0,
    False,
    "",
    [],
    None,
    "only text",
]


class Publish(SdkTest):
    async def subscribers(self, channel):
        """A subscription in each encoding, with the encoding."""
        clients = [(encoding, await self.connect(encoding, "reader")) for encoding in ENCODINGS]
        return [(encoding, await self.subscribe(client, channel)) for encoding, client in clients]

    async def arrives(self, subscribers, values):
        for encoding, subscription in subscribers:
            publications = await subscription.events.publications(len(values))
            self.assertEqual(values_of(encoding, publications), values)

    @scenario("publish from client and API to JSON and Protobuf subscribers")
    async def test_publish_from_a_client(self, encoding):
        channel = f"from-{encoding}"
        subscribers = await self.subscribers(channel)
        publisher = await self.connect(encoding, "author")
        for value in VALUES:
            await publisher.publish(channel, payload(encoding, value))
        await self.arrives(subscribers, VALUES)

    @scenario("publish from client and API to JSON and Protobuf subscribers")
    async def test_publish_from_api_and_client_in_turn(self, encoding):
        channel = f"turns-{encoding}"
        subscribers = await self.subscribers(channel)
        publisher = await self.connect(encoding, "author")
        # `cent` leaves out what is None, and there is no publication without data.
        values = [value for value in VALUES if value is not None]
        for value in values:
            await self.publish(channel, value)
            await publisher.publish(channel, payload(encoding, value))
        await self.arrives(subscribers, [value for value in values for _ in range(2)])

    @scenario("publish from client and API to JSON and Protobuf subscribers", by=CENT)
    async def test_publish_from_the_api_has_no_author_and_keeps_its_tags(self):
        subscribers = await self.subscribers("from-api")
        request = cent.PublishRequest(channel="from-api", data=VALUES[1], tags={"kind": "news"})
        self.assertEqual((await self.api.publish(request)).offset, 1)
        for encoding, subscription in subscribers:
            (publication,) = await subscription.events.publications(1)
            self.assertEqual(value_of(encoding, publication.data), VALUES[1])
            self.assertEqual((publication.info, publication.offset), (None, 1))
            self.assertEqual(publication.tags, {"kind": "news"})

    @scenario("idempotent publish")
    async def test_a_repeated_key_arrives_once(self, encoding):
        channel = f"once-{encoding}"
        subscription = await self.subscribe(await self.connect(encoding, "reader"), channel)
        first = cent.PublishRequest(channel=channel, data=1, idempotency_key="key")
        results = [await self.api.publish(first) for _ in range(3)]
        self.assertEqual(results, [results[0]] * 3)
        second = cent.PublishRequest(channel=channel, data=2, idempotency_key="at once")
        results = await asyncio.gather(*(self.api.publish(second) for _ in range(10)))
        self.assertEqual(results, [results[0]] * 10)
        await self.publish(channel, 3)
        publications = await subscription.events.publications(3)
        self.assertEqual(values_of(encoding, publications), [1, 2, 3])
        self.assertEqual([one.offset for one in publications], [1, 2, 3])

    @scenario("batching")
    async def test_a_batch_of_the_api_arrives_in_order(self, encoding):
        # The SDK cannot batch commands of its own (test_scenarios.py); it takes apart what comes
        # together.
        channel = f"batch-{encoding}"
        subscription = await self.subscribe(await self.connect(encoding, "reader"), channel)
        requests = [cent.PublishRequest(channel=channel, data={"n": n}) for n in range(50)]
        replies = (await self.api.batch(cent.BatchRequest(requests=requests))).replies
        self.assertEqual([reply.offset for reply in replies], list(range(1, 51)))
        publications = await subscription.events.publications(50)
        self.assertEqual(values_of(encoding, publications), [{"n": n} for n in range(50)])

    @scenario("batching")
    async def test_commands_without_waiting_are_answered_each(self, encoding):
        channel = f"pipeline-{encoding}"
        client = await self.connect(encoding, "author")
        subscription = await self.subscribe(client, channel)
        calls = (subscription.publish(payload(encoding, n)) for n in range(50))
        await asyncio.gather(*calls)
        publications = await subscription.events.publications(50)
        self.assertEqual(values_of(encoding, publications), list(range(50)))


class Channels(SdkTest):
    @scenario("100 subscriptions at once")
    async def test_a_hundred_subscriptions_before_connect(self, encoding):
        client = self.new_client(encoding, "collector")
        channels = [f"many-{encoding}-{number}" for number in range(100)]
        subscriptions = [client.new_subscription(channel, Events()) for channel in channels]
        for subscription in subscriptions:
            await subscription.subscribe()
        await client.connect()
        for subscription in subscriptions:
            await subscription.events.next("subscribed")
        await self.api.broadcast(cent.BroadcastRequest(channels=channels, data={"text": "to all"}))
        for subscription in subscriptions:
            publications = await subscription.events.publications(1)
            self.assertEqual(values_of(encoding, publications), [{"text": "to all"}])

    @scenario("100 subscriptions at once")
    async def test_a_hundred_come_back_after_a_drop(self, encoding):
        proxy = await self.proxy()
        client = await self.connect(encoding, "collector", proxy)
        channels = [f"crowd-{encoding}-{number}" for number in range(100)]
        subscriptions = [await self.subscribe(client, channel) for channel in channels]
        async with self.dropped(client, proxy):
            await self.api.broadcast(cent.BroadcastRequest(channels=channels, data=1))
        for subscription in subscriptions:
            self.assertTrue((await subscription.events.next("subscribed")).recovered)
        await self.api.broadcast(cent.BroadcastRequest(channels=channels, data=2))
        for subscription in subscriptions:
            publications = await subscription.events.publications(2)
            self.assertEqual(values_of(encoding, publications), [1, 2])

    @scenario("RPC refusal")
    async def test_no_method_is_available_and_the_connection_stays(self, encoding):
        client = await self.connect(encoding, "caller")
        for method in ("method", "namespace:method", ""):
            with self.assertRaises(centrifuge.ReplyError) as caught:
                await client.rpc(method, payload(encoding, {}))
            error = caught.exception
            self.assertEqual((error.code, error.message), (108, "not available"))
        await client.publish(f"after-rpc-{encoding}", payload(encoding, 1))
        self.assertEqual(client.events.kept("connecting", "disconnected"), [])
