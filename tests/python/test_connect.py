"""Connecting: loops, tokens and their refreshing; what ends a connection."""

import asyncio

import cent

from node import in_seconds, token
from sdk import Events, JSON, SdkTest, payload, scenario


class Connect(SdkTest):
    @scenario("connect and disconnect loops")
    async def test_each_time_another_connection(self, encoding):
        client = self.new_client(encoding, "looping")
        ids = set()
        for _ in range(10):
            await client.connect()
            ids.add((await client.events.next("connected")).client)
            await client.disconnect()
            self.assertEqual((await client.events.next("disconnected")).code, 0)
        self.assertEqual(len(ids), 10)

    @scenario("connect and disconnect loops")
    async def test_calls_without_waiting_end_connected(self, encoding):
        client = self.new_client(encoding, "hasty")
        calls = []
        for _ in range(10):
            calls += [client.connect(), client.disconnect()]
        await asyncio.gather(*calls, client.connect())
        await client.ready()
        subscription = await self.subscribe(client, f"hasty-{encoding}")
        await subscription.publish(payload(encoding, 1))
        await subscription.events.next("publication")

    @scenario("token and expired token with refresh")
    async def test_a_token_connects(self, encoding):
        client = self.new_client(encoding, "ada")
        await client.connect()
        connected = await client.events.next("connected")
        self.assertRegex(connected.client, r"^[0-9a-f-]{36}$")
        self.assertTrue(connected.version)

    @scenario("token and expired token with refresh")
    async def test_an_expired_token_is_replaced_by_get_token(self, encoding):
        asked = 0

        async def get_token():
            nonlocal asked
            asked += 1
            return token("ada")

        expired = token("ada", exp=in_seconds(-3600))
        client = self.new_client(encoding, "ada", token=expired, get_token=get_token)
        await client.connect()
        self.assertEqual((await client.events.next("error")).error.code, 109)
        await client.events.next("connected")
        self.assertEqual(asked, 1)

    @scenario("token and expired token with refresh")
    async def test_an_expired_token_without_another_ends_it(self, encoding):
        client = self.new_client(encoding, "ada", token=token("ada", exp=in_seconds(-3600)))
        await client.connect()
        disconnected = await client.events.next("disconnected")
        self.assertEqual((disconnected.code, disconnected.reason), (1, "unauthorized"))

    async def test_a_disconnect_by_the_api_is_for_good(self):
        client = await self.connect(JSON, "unwanted")
        await self.api.disconnect(cent.DisconnectRequest(user="unwanted"))
        disconnected = await client.events.next("disconnected")
        self.assertEqual((disconnected.code, disconnected.reason), (3503, "force disconnect"))


class Refresh(SdkTest):
    node_options = {"expired_close_delay": "3s"}

    @scenario("token and expired token with refresh")
    async def test_a_refreshed_connection_outlives_its_first_token(self, encoding):
        asked = 0
        twice = asyncio.Event()

        async def get_token():
            nonlocal asked
            asked += 1
            if asked == 2:
                twice.set()
            # The second refresh is due after the first token and the delay are over.
            return token("ada", exp=in_seconds(6 if asked == 1 else 600))

        first = token("ada", exp=in_seconds(4))
        client = await self.connect(encoding, "ada", token=first, get_token=get_token)
        async with asyncio.timeout(30):
            await twice.wait()
        # The answer to this comes after the server has taken the refresh command.
        await self.subscribe(client, f"refreshed-{encoding}")
        self.assertEqual(client.events.kept("connecting", "disconnected", "error"), [])

    @scenario("token and expired token with refresh")
    async def test_not_refreshed_in_time_it_ends_and_a_new_token_brings_it_back(self, encoding):
        asked = 0

        async def get_token():
            nonlocal asked
            asked += 1
            if asked == 1:
                await asyncio.Event().wait()
            return token("ada")

        first = token("ada", exp=in_seconds(4))
        client = await self.connect(encoding, "ada", token=first, get_token=get_token)
        ended = await client.events.next("connecting")
        self.assertEqual((ended.code, ended.reason), (3005, "connection expired"))
        await client.events.next("connected")
        self.assertEqual(asked, 2)


class ChannelToken(SdkTest):
    node_options = {"expired_close_delay": "3s"}

    @scenario("subscribe with channel token")
    async def test_a_private_channel_opens_to_its_token_and_to_nothing_else(self, encoding):
        channel = f"$private-{encoding}"
        client = await self.connect(encoding, "ada")
        closed = client.new_subscription(channel, Events())
        await closed.subscribe()
        self.assertEqual((await closed.events.next("unsubscribed")).code, 103)
        client.remove_subscription(closed)

        opened = await self.subscribe(client, channel, token=token("ada", channel=channel))
        await opened.publish(payload(encoding, 1))
        await opened.events.next("publication")

    @scenario("subscribe with channel token")
    async def test_an_expired_token_is_fetched_anew_and_again_before_it_runs_out(self, encoding):
        channel = f"$short-{encoding}"
        client = await self.connect(encoding, "ada")
        asked = []
        twice = asyncio.Event()

        async def get_token(of):
            asked.append(of)
            if len(asked) == 2:
                twice.set()
            return token("ada", channel=of, exp=in_seconds(4 if len(asked) == 1 else 600))

        expired = token("ada", channel=channel, exp=in_seconds(-60))
        subscription = client.new_subscription(
            channel, Events(), token=expired, get_token=get_token, min_resubscribe_delay=0.05
        )
        await subscription.subscribe()
        self.assertEqual((await subscription.events.next("error")).error.code, 109)
        await subscription.events.take(2, "subscribing", "subscribed")
        async with asyncio.timeout(30):
            await twice.wait()
        await subscription.presence_stats()
        self.assertEqual(subscription.events.kept("subscribing", "unsubscribed", "error"), [])
        self.assertEqual(asked, [channel, channel])
