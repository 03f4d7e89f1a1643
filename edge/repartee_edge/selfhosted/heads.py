"""What a request may weigh before anybody knows who sends it, and the measuring of its head as it comes.

Pure: no sockets, no clock. Whoever reads the connection is in ``front_door``.
"""

from dataclasses import dataclass

LONGEST_LINE_BYTES = 8192
"""The library that reads WebSocket handshakes takes no longer line (websockets, MAX_LINE_LENGTH)."""


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """The bounds on what a connection may send, hold and wait for until it is a WebSocket session.

    ``line_bytes`` counts a line with its end; ``head_bytes`` the whole head. ``request_s`` is how long a head may
    take from its first byte (a connection's first: from when it is opened), and a body after its head;
    ``response_s`` how long an answer may take until the client has read it. ``connections``: of one process.
    """

    head_bytes: int = 64 * 1024
    line_bytes: int = LONGEST_LINE_BYTES
    header_lines: int = 100
    body_bytes: int = 64 * 1024
    request_s: float = 10.0
    response_s: float = 30.0
    connections: int = 500


@dataclass(frozen=True, slots=True)
class HeadFault:
    """Why a request is refused: the status, a short code for programs, and a sentence."""

    status: int
    code: str
    message: str


class HeadTooLarge(Exception):
    """The head that is being read is over a limit."""

    def __init__(self, fault: HeadFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class HeadMeter:
    """Measures one head after the other, in whatever pieces they come."""

    def __init__(self, limits: DoorLimits) -> None:
        self._limits = limits
        self._begin()

    def _begin(self) -> None:
        self._bytes = self._line_bytes = self._lines = 0
        self._ends_in_cr = False

    @property
    def has_begun(self) -> bool:
        """Part of a head has come, and its end has not."""
        return self._bytes > 0

    def take(self, data: bytes | bytearray) -> int:
        """How many of these bytes belong to the head; after its end, the next head begins.

        ``has_begun`` says whether the end was among them. Raises HeadTooLarge.
        """
        at = 0
        while at < len(data):
            newline = data.find(b"\n", at)
            end = newline + 1 or len(data)
            self._bytes += end - at
            self._line_bytes += end - at
            self._check_sizes()
            if not newline + 1:
                self._ends_in_cr = data.endswith(b"\r")
                break
            bare_bytes = self._line_bytes - (data[newline - 1] == 0x0D if newline else self._ends_in_cr)
            at = end
            if bare_bytes == 1:
                self._begin()
                break
            self._lines += 1
            self._line_bytes = 0
            if self._lines > 1 + self._limits.header_lines:
                raise _fields_too_large(f"there are over {self._limits.header_lines} of them")
        return end if data else 0

    def _check_sizes(self) -> None:
        limits = self._limits
        if self._line_bytes > limits.line_bytes:
            if not self._lines:
                raise HeadTooLarge(
                    HeadFault(
                        414, "uri_too_long", f"The request's first line is over {limits.line_bytes} bytes."
                    )
                )
            raise _fields_too_large(f"a line of them is over {limits.line_bytes} bytes")
        if self._bytes > limits.head_bytes:
            raise _fields_too_large(f"they are over {limits.head_bytes} bytes in all")


def _fields_too_large(why: str) -> HeadTooLarge:
    return HeadTooLarge(HeadFault(431, "headers_too_large", f"The request's headers are too large: {why}."))
