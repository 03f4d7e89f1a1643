"""How a call's TCP connection reacts to loss.

The usual algorithm, CUBIC, takes a lost packet for congestion and sends less for a while, so that an answer's audio
comes late; BBR judges by what the line has carried lately.
"""

import asyncio
import socket

WANTED = b"bbr"


def ask_for_bbr(transport: asyncio.BaseTransport) -> bool:
    """Whether the connection has it now. A host without it, or that keeps it from its users, changes nothing."""
    connection = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_CONGESTION", None)
    if connection is None or option is None:
        return False
    try:
        connection.setsockopt(socket.IPPROTO_TCP, option, WANTED)
    except OSError:
        return False
    return True
