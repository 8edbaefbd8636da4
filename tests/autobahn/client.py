"""One Autobahn case on one connection: the protocol object the cases drive, on asyncio."""

import asyncio
import logging

from autobahn.websocket.protocol import WebSocketClientFactory, WebSocketClientProtocol

from port import octets, text


class Outcome:
    """How a case ended. `close_code` is what the server sent, or None if it sent no close frame."""

    def __init__(self, case, connection, milliseconds):
        self.behavior = case.behavior
        self.behavior_close = case.behaviorClose
        self.close_code = connection.remoteCloseCode
        self.result = case.result
        self.result_close = case.resultClose
        self.longest_message = connection.longest_message
        self.milliseconds = milliseconds


async def run_case(url, case_class, deadline):
    """Runs one case. A server that cannot be reached raises; anything else is in the outcome."""
    loop = asyncio.get_running_loop()
    factory = _Factory(url, useragent="autobahn-testsuite")
    # The cases test the closing handshake, so faults are answered by a close frame. A server on a
    # busy machine gets more than the default second to answer it and to drop the connection.
    factory.setProtocolOptions(
        failByDrop=False, closeHandshakeTimeout=5, serverConnectionDropTimeout=5
    )
    start = loop.time()
    connection = CaseConnection(factory, case_class)
    await loop.create_connection(lambda: connection, factory.host, factory.port)
    try:
        await asyncio.wait_for(connection.ended, deadline)
    except asyncio.TimeoutError:
        connection.transport.abort()
        await connection.ended
        connection.case.behavior = "FAILED"
        connection.case.result = f"the case did not end within {deadline} s"
    if connection.fault is not None:
        connection.case.behavior = "FAILED"
        connection.case.result = f"fault in the client: {connection.fault!r}"
    return Outcome(connection.case, connection, round(1000 * (loop.time() - start)))


class _Factory(WebSocketClientFactory):
    log = logging.getLogger("autobahn")


class CaseConnection(asyncio.Protocol, WebSocketClientProtocol):
    """What the cases call `self.p`."""

    def __init__(self, factory, case_class):
        WebSocketClientProtocol.__init__(self)
        self.factory = factory
        self.connectionWasOpen = False
        self.txFrameStats = {}
        self.longest_message = 0
        self._message = 0
        self.fault = None
        self.ended = asyncio.get_running_loop().create_future()
        self.case = case_class(self)

    # From the socket. A fault here would otherwise be logged and the case run into its deadline.

    def connection_made(self, transport):
        self.transport = transport
        self.peer = "%s:%s" % transport.get_extra_info("peername")[:2]
        self._connectionMade()

    def data_received(self, data):
        self._guarded(self._dataReceived, data)

    def connection_lost(self, reason):
        self._guarded(self._connectionLost, reason)
        self._guarded(self.case.onConnectionLost, self.failedByMe)
        self.ended.set_result(None)

    def _guarded(self, call, *args):
        try:
            call(*args)
        except Exception as fault:
            self.fault = fault
            self.transport.abort()

    # From the protocol.

    def _closeConnection(self, abort=False):
        self.transport.abort() if abort else self.transport.close()

    def _onConnect(self, response):
        pass

    def _onOpen(self):
        self.connectionWasOpen = True
        self.case.onOpen()

    def _onMessage(self, payload, isBinary):
        self.case.onMessage(text(payload), isBinary)

    def _onPong(self, payload):
        self.case.onPong(text(payload))

    def _onClose(self, wasClean, code, reason):
        self.case.onClose(wasClean, code, reason)

    _onPing = WebSocketClientProtocol.onPing
    _onMessageBegin = WebSocketClientProtocol.onMessageBegin
    _onMessageFrameBegin = WebSocketClientProtocol.onMessageFrameBegin
    _onMessageFrameData = WebSocketClientProtocol.onMessageFrameData
    _onMessageFrameEnd = WebSocketClientProtocol.onMessageFrameEnd
    _onMessageFrame = WebSocketClientProtocol.onMessageFrame
    _onMessageEnd = WebSocketClientProtocol.onMessageEnd

    # From the case.

    def sendFrame(self, opcode, payload=b"", fin=True, payload_len=None, **options):
        payload = octets(payload)
        if payload_len is not None:
            # Python 2 division in the original; the repetition is simply made here.
            payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
        self._count(opcode, fin, len(payload))
        WebSocketClientProtocol.sendFrame(self, opcode, payload=payload, fin=fin, **options)

    def sendMessage(self, payload, *args, **options):
        WebSocketClientProtocol.sendMessage(self, octets(payload), *args, **options)

    def sendMessageFrameData(self, payload, *args, **options):
        return WebSocketClientProtocol.sendMessageFrameData(self, octets(payload), *args, **options)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        WebSocketClientProtocol.sendCloseFrame(self, code, octets(reasonUtf8), isReply)

    def continueLater(self, delay, call, tag=None):
        self._later(delay, call)

    def closeAfter(self, delay):
        self._later(delay, self.sendClose)

    def killAfter(self, delay):
        self._later(delay, self.failConnection)

    def enableWirelog(self, enable):
        """The suite's wire log is not kept."""

    def _later(self, delay, call):
        def unless_closed():
            if self.state != self.STATE_CLOSED:
                self._guarded(call)

        asyncio.get_running_loop().call_later(delay, unless_closed)

    def _count(self, opcode, fin, length):
        """Frames by opcode, which case 10.1.1 reads, and the longest message, fragments joined."""
        self.txFrameStats[opcode] = self.txFrameStats.get(opcode, 0) + 1
        if opcode in (0, 1, 2):
            self._message = length + (self._message if opcode == 0 else 0)
            self.longest_message = max(self.longest_message, self._message)
            if fin:
                self._message = 0
