"""Three nodes on one Redis: JavaScript's SDK at one, Python's at another, the server API at the third."""

import asyncio
import itertools
import json
import os
import pathlib

import cent

from node import API_KEY, Node, token
from redis_server import RedisServer
from sdk import ENCODINGS, JSON, PROTOBUF, WAIT, SdkTest, payload, values_of

PEER = pathlib.Path(__file__).parents[1] / "sdk/support/peer.js"


class Peer:
    """A client of JavaScript's SDK, subscribed to one channel."""

    @classmethod
    async def start(cls, node, encoding, user, channel):
        self = cls()
        self._process = await asyncio.create_subprocess_exec(
            "node", str(PEER), node.websocket, encoding, channel,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PEER_TOKEN": token(user)},
        )
        self._numbers, self._events, self._answers = itertools.count(1), asyncio.Queue(), {}
        self._reading = asyncio.create_task(self._read())
        self.client_id = (await self.ask("subscribe"))["client"]
        return self

    async def end(self):
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), WAIT)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    async def ask(self, command, **options):
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": number, "command": command, **options})
        self._process.stdin.write(f"{line}\n".encode())
        told = await asyncio.wait_for(answer, WAIT)
        assert "error" not in told, told
        return told

    async def next(self, name):
        """The next event of this name; others are passed over."""
        async with asyncio.timeout(WAIT):
            while (event := await self._events.get())["event"] != name:
                pass
        return event

    async def publications(self, count):
        return [(event["offset"], event["data"]) for event in [await self.next("publication") for _ in range(count)]]

    async def _read(self):
        async for line in self._process.stdout:
            told = json.loads(line)
            if "event" in told:
                self._events.put_nowait(told)
            else:
                self._answers.pop(told["id"]).set_result(told)


class Nodes(SdkTest):
    @classmethod
    def setUpClass(cls):
        redis = cls.enterClassContext(RedisServer())
        cls.first, cls.node, cls.third = (cls.enterClassContext(Node(redis)) for _ in range(3))

    async def asyncSetUp(self):
        self.api = await self.enterAsyncContext(cent.AsyncClient(self.third.api, API_KEY))

    async def in_one_channel(self, mine, theirs):
        """What each side publishes the other hears, and both say the same of the channel."""
        channel = f"nodes-{mine}-{theirs}"
        proxy = await self.proxy()
        client = await self.connect(mine, "pia", proxy)
        subscription = await self.subscribe(client, channel)
        peer = await Peer.start(self.first, theirs, "jan", channel)
        self.addAsyncCleanup(peer.end)
        joins = {one.info.client for _, one in await subscription.events.take(2, "join")}
        self.assertEqual(joins, {client.client_id, peer.client_id})

        await peer.ask("publish", data={"from": "javascript", "ü": "🦭"})
        await subscription.publish(payload(mine, {"from": "python", "ü": "🦭"}))
        await self.publish(channel, {"from": "backend"})
        values = [{"from": "javascript", "ü": "🦭"}, {"from": "python", "ü": "🦭"}, {"from": "backend"}]
        heard = await subscription.events.publications(3)
        self.assertEqual(values_of(mine, heard), values)
        self.assertEqual([one.offset for one in heard], [1, 2, 3])
        self.assertEqual(await peer.publications(3), list(enumerate(values, 1)))

        history = await subscription.history(limit=100)
        theirs_history = await peer.ask("history")
        backend = await self.api.history(cent.HistoryRequest(channel=channel, limit=100))
        self.assertEqual(values_of(mine, history.publications), values)
        self.assertEqual([one["data"] for one in theirs_history["publications"]], values)
        self.assertEqual([one.data for one in backend.publications], values)
        positions = {(one.offset, one.epoch) for one in (history, backend)}
        self.assertEqual(positions | {(theirs_history["offset"], theirs_history["epoch"])}, {(3, history.epoch)})

        there = {(client.client_id, "pia"), (peer.client_id, "jan")}
        presence = await subscription.presence()
        self.assertEqual({(one.client, one.user) for one in presence.clients.values()}, there)
        self.assertEqual({tuple(one) for one in (await peer.ask("presence"))["clients"]}, there)
        stats = await self.api.presence_stats(cent.PresenceStatsRequest(channel=channel))
        self.assertEqual((stats.num_clients, stats.num_users), (2, 2))

        # Each misses what the others publish at their nodes, and gets it when it is back.
        async with self.dropped(client, proxy):
            for number in (4, 5):
                await peer.ask("publish", data=number)
            await self.publish(channel, 6)
        again = await subscription.events.next("subscribed")
        self.assertEqual((again.was_recovering, again.recovered), (True, True))
        missed = await subscription.events.publications(3)
        self.assertEqual([(one.offset, value) for one, value in zip(missed, values_of(mine, missed))], [(4, 4), (5, 5), (6, 6)])
        self.assertEqual(await peer.publications(3), [(4, 4), (5, 5), (6, 6)])

        await peer.ask("disconnect")
        await subscription.publish(payload(mine, 7))
        await self.publish(channel, 8)
        await peer.ask("reconnect")
        again = await peer.next("subscribed")
        self.assertEqual((again["wasRecovering"], again["recovered"]), (True, True))
        self.assertEqual(await peer.publications(2), [(7, 7), (8, 8)])

        await peer.ask("unsubscribe")
        stats = await self.api.presence_stats(cent.PresenceStatsRequest(channel=channel))
        async with asyncio.timeout(WAIT):
            while stats.num_clients != 1:
                await asyncio.sleep(0.02)
                stats = await self.api.presence_stats(cent.PresenceStatsRequest(channel=channel))
        self.assertEqual(stats.num_users, 1)

    async def test_javascript_and_python_in_json(self):
        await self.in_one_channel(JSON, JSON)

    async def test_javascript_and_python_in_protobuf(self):
        await self.in_one_channel(PROTOBUF, PROTOBUF)

    async def test_each_in_its_own_encoding(self):
        for mine, theirs in (ENCODINGS, ENCODINGS[::-1]):
            await self.in_one_channel(mine, theirs)
