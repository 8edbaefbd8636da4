"""History, recovery of what was missed, deltas, and positions that cannot be recovered."""

import json

import cent
import centrifuge

from node import token
from sdk import JSON, PROTOBUF, SdkTest, scenario, value_of, values_of

LOREM = "lorem ipsum dolor sit amet, grüße an die welt 世界 🦭 " * 40


class History(SdkTest):
    @scenario("history pages forwards and backwards")
    async def test_pages_from_one_end_to_the_other(self, encoding):
        channel = f"walk-{encoding}"
        subscription = await self.subscribe(await self.connect(encoding, "reader"), channel)
        await self.publish(channel, *range(1, 26))
        every = list(range(1, 26))
        for reverse, expected in ((False, every), (True, every[::-1])):
            pages, since = [], None
            while True:
                history = await subscription.history(limit=10, since=since, reverse=reverse)
                self.assertEqual(history.offset, 25)
                if not history.publications:
                    break
                pages.append(values_of(encoding, history.publications))
                self.assertEqual([one.offset for one in history.publications], pages[-1])
                since = centrifuge.StreamPosition(offset=pages[-1][-1], epoch=history.epoch)
            self.assertEqual(pages, [expected[:10], expected[10:20], expected[20:]])
        with self.assertRaises(centrifuge.ReplyError) as caught:
            elsewhere = centrifuge.StreamPosition(offset=0, epoch="other")
            await subscription.history(limit=1, since=elsewhere)
        self.assertEqual(caught.exception.code, 112)


class Recovery(SdkTest):
    @scenario("recovery after a dropped TCP connection")
    async def test_what_is_missed_comes_once_and_in_order(self, encoding):
        channel = f"dropped-{encoding}"
        proxy = await self.proxy()
        client = await self.connect(encoding, "reader", proxy)
        subscription = await self.subscribe(client, channel)
        for last in range(0, 60, 20):
            await self.publish(channel, *range(last + 1, last + 9))
            async with self.dropped(client, proxy):
                await self.publish(channel, *range(last + 9, last + 15))
            # While the SDK comes back.
            await self.publish(channel, *range(last + 15, last + 21))
            again = await subscription.events.next("subscribed")
            self.assertEqual((again.was_recovering, again.recovered), (True, True))
        publications = await subscription.events.publications(60)
        self.assertEqual(values_of(encoding, publications), list(range(1, 61)))
        self.assertEqual([one.offset for one in publications], list(range(1, 61)))

    @scenario("recovery after unsubscribe")
    async def test_what_is_missed_between_unsubscribe_and_subscribe_comes(self, encoding):
        channel = f"left-{encoding}"
        subscription = await self.subscribe(await self.connect(encoding, "reader"), channel)
        await self.publish(channel, 1, 2, 3)
        before = await subscription.events.publications(3)
        await subscription.unsubscribe()
        await self.publish(channel, *range(4, 10))
        await subscription.subscribe()
        await self.publish(channel, 10, 11, 12)
        again = await subscription.events.next("subscribed")
        self.assertEqual((again.was_recovering, again.recovered), (True, True))
        after = await subscription.events.publications(9)
        self.assertEqual(values_of(encoding, before + after), list(range(1, 13)))

    @scenario("unrecoverable position without getState")
    async def test_an_unrecoverable_position_is_told(self, encoding):
        channel = f"short:{encoding}"
        proxy = await self.proxy()
        client = await self.connect(encoding, "reader", proxy)
        subscription = await self.subscribe(client, channel)
        await self.publish(channel, 1)
        await subscription.events.publications(1)
        async with self.dropped(client, proxy):
            await self.publish(channel, *range(2, 10))
        again = await subscription.events.next("subscribed")
        self.assertEqual((again.was_recovering, again.recovered), (True, False))
        self.assertEqual(again.stream_position.offset, 9)
        await self.publish(channel, 10)
        publications = await subscription.events.publications(1)
        self.assertEqual(values_of(encoding, publications), [10])

    @scenario("unrecoverable position with getState")
    async def test_an_unrecoverable_position_loads_the_state_again(self, encoding):
        channel = f"short:state-{encoding}"
        # The application's own record, which it writes before it publishes.
        record = []

        async def write(*values):
            for value in values:
                record.append(value)
                await self.publish(channel, value)

        views = []

        async def get_state(of):
            history = await self.api.history(cent.HistoryRequest(channel=of))
            views.append(list(record))
            return centrifuge.StreamPosition(offset=history.offset, epoch=history.epoch)

        await write(1, 2)
        proxy = await self.proxy()
        client = await self.connect(encoding, "reader", proxy)
        options = {"get_state": get_state, "min_resubscribe_delay": 0.01}
        subscription = await self.subscribe(client, channel, **options)
        self.assertEqual(views, [[1, 2]])
        await write(3)
        await subscription.events.publications(1)
        async with self.dropped(client, proxy):
            await write(*range(4, 12))
        again = await subscription.events.next("subscribed")
        self.assertEqual((again.was_recovering, again.recovered), (True, True))
        await write(12)
        publications = await subscription.events.publications(1)
        self.assertEqual(views, [[1, 2], list(range(1, 12))])
        self.assertEqual(values_of(encoding, publications), [12])
        self.assertEqual(subscription.events.kept("error", "publication"), [])


class Delta(SdkTest):
    @scenario("delta over 200 publications with a drop in between")
    async def test_each_comes_whole_once_and_in_order(self, encoding):
        channel = f"delta:{encoding}"
        proxy = await self.proxy()
        # What it sends has the bytes below; the SDK's own JSON would escape all but ASCII.
        publisher = await self.connect(PROTOBUF, "author")
        client = await self.connect(encoding, "reader", proxy)
        subscription = await self.subscribe(client, channel, delta=centrifuge.DeltaType.FOSSIL)
        values = [
            {"n": n, "before": LOREM, "ünï": "ß" * (n % 7), "after": LOREM} for n in range(1, 201)
        ]
        payloads = [json.dumps(value, ensure_ascii=False, indent=1).encode() for value in values]

        async def publish(first, last):
            for one in payloads[first:last]:
                await publisher.publish(channel, one)

        await publish(0, 80)
        # Not all of these need to have arrived when the connection is cut.
        async with self.dropped(client, proxy):
            await publish(80, 120)
        await publish(120, 200)
        again = await subscription.events.next("subscribed")
        self.assertEqual((again.was_recovering, again.recovered), (True, True))

        publications = await subscription.events.publications(200)
        self.assertEqual([one.offset for one in publications], list(range(1, 201)))
        expected = values if encoding == JSON else payloads
        self.assertEqual([one.data for one in publications], expected)
        # What is published while the server takes up the subscription again comes whole.
        self.assertGreaterEqual(sum(one.delta for one in publications), 110)
        self.assertLess(proxy.received, sum(map(len, payloads)) / 2)


class ServerSide(SdkTest):
    @scenario("server-side subscriptions with recovery")
    async def test_what_is_missed_in_a_drop_comes_after_it(self, encoding):
        channels = [f"one-{encoding}", f"two-{encoding}"]

        async def get_token():
            return token("ada", channels=channels)

        proxy = await self.proxy()
        client = await self.connect(encoding, "ada", proxy, get_token=get_token)
        subscribed = await client.events.take(2, "subscribed")
        self.assertEqual(sorted(one.channel for _, one in subscribed), channels)
        await self.publish(channels[0], 1)
        await self.publish(channels[1], 11)
        async with self.dropped(client, proxy):
            await self.publish(channels[0], 2, 3, 4)
            await self.publish(channels[1], 12, 13)
        again = await client.events.take(2, "subscribed")
        recovered = [(one.was_recovering, one.recovered) for _, one in again]
        self.assertEqual(recovered, [(True, True)] * 2)
        await self.publish(channels[0], 5, 6)
        await self.publish(channels[1], 14)
        # Channels keep no order among each other.
        came = {channel: [] for channel in channels}
        for _, one in await client.events.take(10, "publication"):
            came[one.channel].append(value_of(encoding, one.pub.data))
        self.assertEqual(list(came.values()), [[1, 2, 3, 4, 5, 6], [11, 12, 13, 14]])

    @scenario("server-side subscriptions with recovery")
    async def test_a_subscription_by_the_api(self, encoding):
        user, channel = f"bob-{encoding}", f"given-{encoding}"
        client = await self.connect(encoding, user)
        await self.publish(channel, 1)
        await self.api.subscribe(cent.SubscribeRequest(user=user, channel=channel))
        subscribed = await client.events.next("subscribed")
        self.assertEqual((subscribed.channel, subscribed.stream_position.offset), (channel, 1))
        await self.publish(channel, 2)
        ((_, one),) = await client.events.take(1, "publication")
        self.assertEqual((one.channel, value_of(encoding, one.pub.data)), (channel, 2))
        await self.api.unsubscribe(cent.UnsubscribeRequest(user=user, channel=channel))
        self.assertEqual((await client.events.next("unsubscribed")).channel, channel)
