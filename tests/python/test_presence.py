"""Presence, joins and leaves."""

import cent

from sdk import CENT, JSON, PROTOBUF, Events, SdkTest, scenario


class Presence(SdkTest):
    async def two(self, channel, encoding, other):
        """Two connections in the channel, and their subscriptions; the first has seen both join."""
        clients = [await self.connect(encoding, "ada"), await self.connect(other, "bob")]
        mine = await self.subscribe(clients[0], channel)
        theirs = await self.subscribe(clients[1], channel)
        await mine.events.take(2, "join")
        return clients, mine, theirs

    @scenario("presence before and after a leave")
    async def test_presence_shows_who_is_there(self, encoding):
        clients, mine, theirs = await self.two(f"present-{encoding}", encoding, encoding)
        self.assertEqual(
            {(one.client, one.user) for one in (await mine.presence()).clients.values()},
            {(clients[0].client_id, "ada"), (clients[1].client_id, "bob")},
        )
        stats = await mine.presence_stats()
        self.assertEqual((stats.num_clients, stats.num_users), (2, 2))

        await theirs.unsubscribe()
        self.assertEqual((await mine.events.next("leave")).info.client, clients[1].client_id)
        self.assertEqual(list((await mine.presence()).clients), [clients[0].client_id])
        stats = await mine.presence_stats()
        self.assertEqual((stats.num_clients, stats.num_users), (1, 1))

    @scenario("presence before and after a leave", by=CENT)
    async def test_presence_by_the_api(self):
        channel = "present-api"
        clients, mine, theirs = await self.two(channel, JSON, PROTOBUF)
        presence = await self.api.presence(cent.PresenceRequest(channel=channel))
        self.assertEqual(
            {(key, one.client, one.user) for key, one in presence.presence.items()},
            {(one.client_id, one.client_id, user) for one, user in zip(clients, ("ada", "bob"))},
        )
        await theirs.unsubscribe()
        await mine.events.next("leave")
        presence = await self.api.presence(cent.PresenceRequest(channel=channel))
        self.assertEqual(list(presence.presence), [clients[0].client_id])
        stats = await self.api.presence_stats(cent.PresenceStatsRequest(channel=channel))
        self.assertEqual((stats.num_clients, stats.num_users), (1, 1))

    @scenario("join and leave order")
    async def test_each_is_told_in_the_order_it_came_to_pass(self, encoding):
        channel = f"order-{encoding}"
        watcher = await self.connect(encoding, "watcher")
        one, two = await self.connect(JSON, "one"), await self.connect(PROTOBUF, "two")
        mine = await self.subscribe(watcher, channel)
        first, second = (client.new_subscription(channel, Events()) for client in (one, two))
        steps = [
            (None, "join", watcher),
            (first.subscribe, "join", one),
            (second.subscribe, "join", two),
            (first.unsubscribe, "leave", one),
            (first.subscribe, "join", one),
            (two.disconnect, "leave", two),
            (one.disconnect, "leave", one),
        ]
        for act, what, who in steps:
            if act:
                await act()
            ((told, context),) = await mine.events.take(1, "join", "leave")
            self.assertEqual((told, context.info.client), (what, who.client_id))
        self.assertEqual(mine.events.kept("join", "leave"), [])

    @scenario("join and leave order")
    async def test_joins_and_leaves_of_one_client_alternate(self, encoding):
        channel = f"restless-{encoding}"
        mine = await self.subscribe(await self.connect(encoding, "watcher"), channel)
        await mine.events.next("join")
        restless = await self.connect(encoding, "restless")
        theirs = restless.new_subscription(channel, Events())
        for _ in range(20):
            await theirs.subscribe()
            await theirs.events.next("subscribed")
            await theirs.unsubscribe()
        told = await mine.events.take(40, "join", "leave")
        self.assertEqual([what for what, _ in told], ["join", "leave"] * 20)
        self.assertEqual({context.info.client for _, context in told}, {restless.client_id})
