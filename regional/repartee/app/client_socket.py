"""A client's WebSocket connection, as uvicorn speaks the protocol, but reading ahead.

uvicorn stops reading from a connection at every message until the application has taken it, and starts again. For a
message every 20 ms that is more work for the event loop and the kernel than reading is. Here it happens only when the
application has fallen behind.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

READ_AHEAD_MESSAGES = 32
"""Messages that may wait for the application before reading stops: 0.6 s of audio in frames of 20 ms."""


class ClientSocket(WebSocketsSansIOProtocol):
    """One connection."""

    def send_receive_event_to_app(self) -> None:
        """Queue the message that is complete; uvicorn would stop reading here."""
        if self.read_paused or self.queue.qsize() >= READ_AHEAD_MESSAGES:
            super().send_receive_event_to_app()
            return
        self.read_paused = True
        super().send_receive_event_to_app()
        self.read_paused = False
