"""TCP connections to providers, by RFC 8305 ("happy eyeballs"): a dead address costs a quarter of a second.

Every dial to a provider goes through :func:`connected`; the race is aiohappyeyeballs'. uvloop ignores asyncio's own
``happy_eyeballs_delay``, so the loop is handed a socket that is connected already. Knows no TLS and no protocol.
"""

import asyncio
import socket

from aiohappyeyeballs import start_connection

ATTEMPT_DELAY_S = 0.25
"""How long an address has before the next one is tried beside it (RFC 8305, section 8)."""


async def connected(host: str, port: int) -> socket.socket:
    """A non-blocking socket that is connected to one of the host's addresses; the families take turns.

    The caller bounds the time, the look-up of the name included. Raises OSError (socket.gaierror for a name without
    an address).
    """
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not addresses:
        raise socket.gaierror(socket.EAI_NONAME, f"{host} has no address")
    try:
        made = await start_connection(addresses, happy_eyeballs_delay=ATTEMPT_DELAY_S)
    except RuntimeError as error:  # uvloop's, in place of some OSErrors
        raise OSError(str(error)) from error
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
