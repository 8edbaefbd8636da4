"""The official library of the server API."""

import unittest

import cent

from node import API_KEY, EVIDENCE, Node
from sdk import CENT, scenario


class ServerApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = cls.enterClassContext(Node())
        cls.client = cent.Client(cls.node.api, API_KEY)

    def publish(self, channel, data=None, **more):
        EVIDENCE.published(data)
        return self.client.publish(cent.PublishRequest(channel=channel, data=data, **more))

    @scenario("history pages forwards and backwards", by=CENT)
    def test_history_pages(self):
        every = list(range(1, 26))
        self.assertEqual([self.publish("pages", n).offset for n in every], every)
        for reverse, expected in ((False, every), (True, every[::-1])):
            pages, since = [], None
            while True:
                page = {"limit": 10, "since": since, "reverse": reverse}
                history = self.client.history(cent.HistoryRequest(channel="pages", **page))
                self.assertEqual(history.offset, 25)
                if not history.publications:
                    break
                pages.append([one.data for one in history.publications])
                self.assertEqual([one.offset for one in history.publications], pages[-1])
                since = cent.StreamPosition(offset=pages[-1][-1], epoch=history.epoch)
            self.assertEqual(pages, [expected[:10], expected[10:20], expected[20:]])

    def test_history_and_its_removal(self):
        for n in range(3):
            self.publish("kept", {"a": n})
        history = self.client.history(cent.HistoryRequest(channel="kept", limit=2))
        self.assertEqual([one.offset for one in history.publications], [1, 2])
        self.assertEqual((history.offset, history.publications[1].data), (3, {"a": 1}))
        self.client.history_remove(cent.HistoryRemoveRequest(channel="kept"))
        history = self.client.history(cent.HistoryRequest(channel="kept", limit=2))
        self.assertEqual((history.publications, history.offset), ([], 3))

    @scenario("idempotent publish", by=CENT)
    def test_a_repeated_key_publishes_once(self):
        first = self.publish("once", 1, idempotency_key="key")
        self.assertEqual(first.offset, 1)
        self.assertEqual(self.publish("once", 1, idempotency_key="key"), first)
        self.assertEqual(self.publish("once", 2).offset, 2)
        self.assertEqual(self.publish("another", 1, idempotency_key="key").offset, 1)
        both = ["once", "third"]
        broadcast = cent.BroadcastRequest(channels=both, data=3, idempotency_key="more")
        answers = self.client.broadcast(broadcast)
        self.assertEqual([one.result.offset for one in answers.responses], [3, 1])
        self.assertEqual(self.client.broadcast(broadcast), answers)

    def test_broadcast_answers_for_each_channel(self):
        channels = ["one", "two", "undefined_channel:1"]
        answers = self.client.broadcast(cent.BroadcastRequest(channels=channels, data={}))
        codes = [one.error and one.error.code for one in answers.responses]
        self.assertEqual(codes, [None, None, 102])

    def test_an_unknown_namespace_is_an_error(self):
        with self.assertRaises(cent.CentApiResponseError) as caught:
            self.publish("undefined_channel:123", {})
        error = caught.exception
        self.assertEqual((error.code, error.message), (102, "unknown channel"))

    def test_a_wrong_key_is_unauthorized(self):
        with self.assertRaises(cent.CentUnauthorizedError):
            cent.Client(self.node.api, "wrong").info(cent.InfoRequest())

    @scenario("batching", by=CENT)
    def test_a_batch_answers_in_order(self):
        for parallel in (False, True):
            channel = f"batch-{parallel}"
            requests = [
                cent.PublishRequest(channel=channel, data={}),
                cent.UnsubscribeRequest(user="nobody", channel=channel),
                cent.PresenceStatsRequest(channel=channel),
            ]
            batch = cent.BatchRequest(requests=requests, parallel=parallel)
            published, _, stats = self.client.batch(batch).replies
            self.assertEqual((published.offset, stats.num_clients), (1, 0))

    def test_info_names_the_node(self):
        (node,) = self.client.info(cent.InfoRequest()).nodes
        self.assertTrue(node.uid and node.name and node.version)
