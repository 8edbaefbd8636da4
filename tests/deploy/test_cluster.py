"""Three nodes behind the load balancer: where clients go, and what happens when something goes."""

import asyncio
import concurrent.futures
import contextlib
import http.client
import signal
import time
import unittest

import centrifuge
import websockets

from cluster import Cluster, get, wait_until

CLIENTS = 60
BACK_SECONDS = 12
SETTLE_SECONDS = 40


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

    async def run(self):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            while not self._stop:
                await asyncio.get_running_loop().run_in_executor(pool, self._publish)
                await asyncio.sleep(0.05)

    def stop(self):
        self._stop = True

    def _publish(self):
        number = self.sent + 1
        body = {"channel": self._channel, "data": {"n": number}, "idempotency_key": f"n{number}"}
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


class Disturbed(unittest.IsolatedAsyncioTestCase):
    """Clients listen and a backend publishes while something happens to the stack."""

    def setUp(self):
        # Debug mode would print each slow step of a loaded machine.
        self._asyncioRunner.get_loop().set_debug(False)

    async def disturb(self, cluster, disturbance):
        """The crowd, the publisher; everything that was acknowledged came to everyone, once, in order."""
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
                self.assertEqual(each.numbers, expected)
            self.assertEqual(sum(each.told_lost for each in crowd), 0)
            return crowd, publisher

    def assert_back_in_time(self, crowd, what):
        away = sorted(seconds for each in crowd for seconds in each.away)
        if away:
            p99 = away[min(len(away) - 1, int(len(away) * 0.99))]
            print(f"\n{what}: {len(crowd)} clients, {len(away)} times one was away, p50 {away[len(away) // 2]:.2f} s, p99 {p99:.2f} s")
            self.assertLessEqual(p99, BACK_SECONDS)
        return len(away)

    async def test_a_node_is_killed(self):
        with Cluster() as cluster:
            crowd, _ = await self.disturb(cluster, cluster.nodes[1].kill)
            # Its third of the clients, and nobody else's.
            self.assertEqual(self.assert_back_in_time(crowd, "kill -9"), CLIENTS // 3)
            wait_until(lambda: cluster.nodes_up() == ["node1", "node3"], "the node is out", 5)
            cluster.restart(1)
            wait_until(lambda: len(cluster.nodes_up()) == 3, "the node is back", 10)

    async def test_nodes_are_replaced_one_after_the_other(self):
        def roll(cluster):
            for index, node in enumerate(cluster.nodes):
                node.kill(signal.SIGTERM)
                wait_until(lambda name=node.name: name not in cluster.nodes_up(), "out of balance", 10)
                self.assertTrue(node.runs(), "it left while clients could still be sent to it")
                self.assertEqual(node.wait(), 0)
                cluster.restart(index)
                wait_until(lambda: len(cluster.nodes_up()) == 3, "in balance", 15)

        options = {"SEALCAST_SHUTDOWN_SPREAD": "5s", "SEALCAST_SHUTDOWN_DEADLINE": "20s"}
        with Cluster(node=options) as cluster:
            crowd, publisher = await self.disturb(cluster, lambda: roll(cluster))
            self.assertGreaterEqual(self.assert_back_in_time(crowd, "roll"), CLIENTS)
            print(f"roll: {publisher.failed} of {publisher.sent} calls of the server API failed")
            self.assertLess(publisher.failed / publisher.sent, 0.001)

    async def test_the_load_balancer_reads_its_configuration_again(self):
        with Cluster() as cluster:
            crowd, publisher = await self.disturb(cluster, lambda: cluster.lb.kill(signal.SIGUSR2))
            self.assertEqual(self.assert_back_in_time(crowd, "reload"), 0)
            self.assertEqual(publisher.failed, 0)

    async def test_the_load_balancer_is_killed(self):
        with Cluster() as cluster:

            def restart():
                cluster.lb.kill(signal.SIGTERM)
                cluster.lb.wait()
                cluster.lb = cluster._start_balancer()
                cluster._stack.callback(cluster.lb.close)

            crowd, _ = await self.disturb(cluster, restart)
            self.assertEqual(self.assert_back_in_time(crowd, "hard restart"), CLIENTS)

    async def test_redis_goes_and_comes_back(self):
        with Cluster() as cluster:

            def away():
                cluster.redis.kill(signal.SIGSTOP)
                wait_until(lambda: cluster.nodes_up() == [], "no node is ready", 10)
                self.assertEqual(get(cluster.lb_metrics_port, "/ready")[0], 503)
                cluster.redis.kill(signal.SIGCONT)
                wait_until(lambda: len(cluster.nodes_up()) == 3, "all are ready", 20)

            crowd, _ = await self.disturb(cluster, away)
            # Connections stand while the nodes repair what was missed.
            self.assertEqual(self.assert_back_in_time(crowd, "redis"), 0)


class Balance:
    """What both load balancers do."""

    balancer: str
    unequal: float

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(cls.balancer))

    def calls(self):
        return [node.metric("sealcast_api_calls_total") for node in self.cluster.nodes]

    def request(self, cookie=None):
        """The cookie that a call of the server API on a connection of its own is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.cluster.port, timeout=10)
        headers = {"X-API-Key": self.cluster.secret("api_key")}
        if cookie:
            headers["Cookie"] = cookie
        connection.request("POST", "/api/channels", "{}", headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        self.assertEqual(answer.status, 200)
        return (answer.getheader("set-cookie") or "").split(";")[0]

    def test_a_cookie_leads_to_the_same_node(self):
        for _ in range(3):
            cookie = self.request()
            self.assertTrue(cookie)
            before = self.calls()
            for _ in range(1000):
                self.assertEqual(self.request(cookie), "", "another node was given")
            grown = sorted(after - was for after, was in zip(self.calls(), before))
            self.assertEqual(grown, [0, 0, 1000])

    def test_nodes_get_equal_shares(self):
        asyncio.run(self.crowd(300))

    async def crowd(self, size):
        async with contextlib.AsyncExitStack() as stack:
            for number in range(size):
                socket = await stack.enter_async_context(websockets.connect(self.cluster.url))
                token = self.cluster.token(f"user{number}")
                await socket.send('{"id":1,"connect":{"token":"%s"}}' % token)
                self.assertIn('"client"', await socket.recv())
            shares = [node.metric("sealcast_connections") for node in self.cluster.nodes]
        print(f"\n{self.balancer}: {shares}")
        self.assertEqual(sum(shares), size)
        for share in shares:
            self.assertLessEqual(abs(share / (size / 3) - 1), self.unequal)


class HAProxy(Balance, unittest.TestCase):
    balancer = "haproxy"
    unequal = 0.15


class Nginx(Balance, unittest.TestCase):
    balancer = "nginx"
    # Spread by a hash, not by count.
    unequal = 0.35

    def test_who_the_client_is_comes_from_the_socket_alone(self):
        forged = {"X-Forwarded-For": "6.6.6.6", "Connection": "close, x-forwarded-for"}
        self.assertEqual(get(self.cluster.port, "/health/ready", forged)[0], 400)
        self.assertEqual(get(self.cluster.port, "/metrics")[0], 404)
        self.assertEqual(get(self.cluster.port, "/health/ready", {"Upgrade": "h2c"})[0], 400)

    def test_no_query_in_the_log(self):
        get(self.cluster.port, "/health/ready?token=a-secret-of-somebody")
        wait_until(lambda: '"path":"/health/ready"' in self.cluster.lb.log(), "a line of the log", 5)
        # Nor where it says why a node could not be reached.
        self.cluster.nodes[0].kill()
        for _ in range(20):
            get(self.cluster.port, "/health/ready?token=a-secret-of-somebody")
        self.cluster.restart(0)
        self.assertNotIn("a-secret-of-somebody", self.cluster.lb.log())
