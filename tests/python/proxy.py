"""A TCP proxy before a node, to lose connections as a failing network does."""

import asyncio
import socket
import struct

# Lingering for no time: closing resets the connection instead of ending it.
RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Runs from `async with` to its end.

    `cut` resets every connection at both ends, and each new one at once, until `mend`.
    `received` is how many bytes have passed towards clients.
    """

    def __init__(self, node):
        self._port = node.port
        self._pairs = set()
        self._whole = True
        self.received = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.websocket = f"ws://127.0.0.1:{port}/connection/websocket"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self):
        """Returns how many connections there were."""
        self._whole = False
        pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            _reset(*pair)
        return len(pairs)

    def mend(self):
        self._whole = True

    async def _serve(self, reader, writer):
        if not self._whole:
            _reset(writer)
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        pair = (writer, far_writer)
        self._pairs.add(pair)
        await asyncio.gather(self._copy(reader, far_writer, 0), self._copy(far_reader, writer, 1))
        self._pairs.discard(pair)

    async def _copy(self, reader, writer, counted):
        try:
            while data := await reader.read(65536):
                self.received += counted * len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()


def _reset(*writers):
    for writer in writers:
        if not writer.is_closing():
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
