"""Three nodes behind the load balancer: where clients go, and what happens when something goes."""

import asyncio
import contextlib
import http.client
import signal
import unittest

import websockets

from cluster import Cluster, get, wait_until
from crowd import CLIENTS, back_in_time, disturb

# How far a node's share may be from an equal one.
UNEQUAL = 0.15


class Disturbed(unittest.IsolatedAsyncioTestCase):
    """Clients listen and a backend publishes while something happens to the stack."""

    def setUp(self):
        # Debug mode would print each slow step of a loaded machine.
        self._asyncioRunner.get_loop().set_debug(False)

    async def test_a_node_is_killed(self):
        with Cluster() as cluster:
            crowd, _ = await disturb(cluster, cluster.nodes[1].kill)
            # Its third of the clients, and nobody else's.
            self.assertEqual(back_in_time(crowd, "kill -9"), CLIENTS // 3)
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
            crowd, publisher = await disturb(cluster, lambda: roll(cluster))
            self.assertGreaterEqual(back_in_time(crowd, "roll"), CLIENTS)
            print(f"roll: {publisher.failed} of {publisher.sent} calls of the server API failed")
            self.assertLess(publisher.failed / publisher.sent, 0.001)

    async def test_the_load_balancer_reads_its_configuration_again(self):
        with Cluster() as cluster:
            crowd, publisher = await disturb(cluster, lambda: cluster.lb.kill(signal.SIGUSR2))
            self.assertEqual(back_in_time(crowd, "reload"), 0)
            self.assertEqual(publisher.failed, 0)

    async def test_the_load_balancer_is_killed(self):
        with Cluster() as cluster:

            def restart():
                cluster.lb.kill(signal.SIGTERM)
                cluster.lb.wait()
                cluster.lb = cluster._start_balancer()
                cluster._stack.callback(cluster.lb.close)

            crowd, _ = await disturb(cluster, restart)
            self.assertEqual(back_in_time(crowd, "hard restart"), CLIENTS)

    async def test_redis_goes_and_comes_back(self):
        with Cluster() as cluster:

            def away():
                cluster.redis.kill(signal.SIGSTOP)
                wait_until(lambda: cluster.nodes_up() == [], "no node is ready", 10)
                self.assertEqual(get(cluster.lb_metrics_port, "/ready")[0], 503)
                cluster.redis.kill(signal.SIGCONT)
                wait_until(lambda: len(cluster.nodes_up()) == 3, "all are ready", 20)

            crowd, _ = await disturb(cluster, away)
            # Connections stand while the nodes repair what was missed.
            self.assertEqual(back_in_time(crowd, "redis"), 0)


class Balance:
    """What both load balancers do."""

    balancer: str

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

    def assert_equal(self, shares, what):
        print(f"\n{self.balancer}: {what}, {shares}")
        for share in shares:
            self.assertLessEqual(abs(share / (sum(shares) / 3) - 1), UNEQUAL)


class HAProxy(Balance, unittest.TestCase):
    balancer = "haproxy"

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
        self.assertEqual(sum(shares), size)
        self.assert_equal(shares, "connections")


class Nginx(Balance, unittest.TestCase):
    balancer = "nginx"

    # It spreads by chance, not by count: so many that chance is not seen (five standard deviations).
    def test_nodes_get_equal_shares(self):
        before = self.calls()
        for _ in range(2400):
            self.assertTrue(self.request())
        shares = [after - was for after, was in zip(self.calls(), before)]
        self.assertEqual(sum(shares), 2400)
        self.assert_equal(shares, "calls of newcomers")

    def test_no_query_in_the_log(self):
        get(self.cluster.port, "/health/ready?token=a-secret-of-somebody")
        wait_until(lambda: '"path":"/health/ready"' in self.cluster.lb.log(), "a line of the log", 5)
        # Nor where it says why a node could not be reached.
        self.cluster.nodes[0].kill()
        for _ in range(20):
            get(self.cluster.port, "/health/ready?token=a-secret-of-somebody")
        self.cluster.restart(0)
        self.assertNotIn("a-secret-of-somebody", self.cluster.lb.log())
