"""Clients that listen and a backend that publishes while something happens to what they talk to: that
has `url`, `token(user)` and `api(method, body)`."""

import asyncio
import concurrent.futures
import contextlib
import http.client
import secrets
import time

import centrifuge

CLIENTS = 60
BACK_SECONDS = 12
SETTLE_SECONDS = 40


async def disturb(cluster, disturbance):
    """The crowd and the publisher. Everything that was acknowledged came to everyone, once, in order,
    and nobody was told of a loss."""
    async with listeners(cluster) as crowd:
        publisher = Publisher(cluster)
        publishing = asyncio.create_task(publisher.run())
        await asyncio.sleep(2)
        await asyncio.get_running_loop().run_in_executor(None, disturbance)
        end = time.monotonic() + SETTLE_SECONDS
        while not all(each.is_here() for each in crowd) and time.monotonic() < end:
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        publisher.stop()
        await publishing
        expected = list(range(1, publisher.sent + 1))
        while any(each.numbers != expected for each in crowd) and time.monotonic() < end:
            await asyncio.sleep(0.1)
        for each in crowd:
            if each.numbers != expected:
                raise AssertionError(f"of {publisher.sent} publications a client heard {each.numbers}")
        if told := sum(each.told_lost for each in crowd):
            raise AssertionError(f"{told} clients were told of a loss")
        return crowd, publisher


def back_in_time(crowd, what):
    """How often somebody was away; nearly everybody was back soon."""
    away = sorted(seconds for each in crowd for seconds in each.away)
    if away:
        p99 = away[min(len(away) - 1, int(len(away) * 0.99))]
        print(f"\n{what}: {len(crowd)} clients, {len(away)} times one was away, p50 {away[len(away) // 2]:.2f} s, p99 {p99:.2f} s")
        if p99 > BACK_SECONDS:
            raise AssertionError(f"{what}: back after {p99:.1f} s")
    return len(away)


class Listener:
    """A client by the official SDK that keeps the numbers it is told and when it was away."""

    def __init__(self, cluster, name, channel="chat:room"):
        self.numbers, self.away, self.told_lost = [], [], 0
        self._left = None
        self._client = centrifuge.Client(
            cluster.url, token=cluster.token(name), events=self, min_reconnect_delay=0.2, max_reconnect_delay=2
        )
        self._subscription = self._client.new_subscription(channel, _Publications(self), recoverable=True)

    async def begin(self):
        await self._subscription.subscribe()
        await self._client.connect()
        await self._subscription.ready(20)

    async def end(self):
        await self._client.disconnect()

    async def on_connecting(self, context):
        if context.code != 0:
            self._left = time.monotonic()

    async def on_connected(self, _):
        if self._left is not None:
            self.away.append(time.monotonic() - self._left)
            self._left = None

    def is_here(self):
        return self._left is None

    def __getattr__(self, name):
        return _ignore


class _Publications:
    def __init__(self, listener):
        self._listener, self._begun = listener, False

    async def on_publication(self, context):
        self._listener.numbers.append(context.pub.data["n"])

    async def on_subscribed(self, context):
        if self._begun and not context.recovered:
            self._listener.told_lost += 1
        self._begun = True

    def __getattr__(self, name):
        return _ignore


async def _ignore(_):
    pass


class Publisher:
    """Publishes numbers, 20 a second, through the load balancer. A call that is not answered is
    made again with the same key, as a backend would."""

    def __init__(self, cluster, channel="chat:room"):
        self._cluster, self._channel = cluster, channel
        self.sent, self.failed = 0, 0
        self._stop = False
        # Another publisher's keys would make nothing of what this one says.
        self._keys = secrets.token_hex(4)

    async def run(self):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            while not self._stop:
                await asyncio.get_running_loop().run_in_executor(pool, self._publish)
                await asyncio.sleep(0.05)

    def stop(self):
        self._stop = True

    def _publish(self):
        number = self.sent + 1
        body = {"channel": self._channel, "data": {"n": number}, "idempotency_key": f"{self._keys}-{number}"}
        for _ in range(200):
            try:
                answer = self._cluster.api("publish", body)
            except (OSError, RuntimeError, http.client.HTTPException):
                answer = {}
            if "result" in answer:
                self.sent = number
                return
            self.failed += 1
            time.sleep(0.1)
        raise RuntimeError("nothing can be published")


@contextlib.asynccontextmanager
async def listeners(cluster, count=CLIENTS):
    crowd = [Listener(cluster, f"user{n}") for n in range(count)]
    for start in range(0, count, 10):
        await asyncio.gather(*(each.begin() for each in crowd[start : start + 10]))
    try:
        yield crowd
    finally:
        await asyncio.gather(*(each.end() for each in crowd))
