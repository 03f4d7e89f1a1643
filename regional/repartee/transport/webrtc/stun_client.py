"""Asks a STUN server at which address it sees this machine."""

import asyncio
import secrets
import socket

from repartee.rtc import stun

STUN_S = 2.0
"""How long a STUN server may take, over all tries."""

STUN_TRIES = 4


class AddressUnknown(Exception):
    """The address cannot be found out; says why."""


async def ask_stun(host: str, port: int) -> str:
    """The address that a STUN server sees this machine at. Raises AddressUnknown."""
    loop = asyncio.get_running_loop()
    transaction_id = secrets.token_bytes(12)
    found: asyncio.Future[str] = loop.create_future()
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Answer(transaction_id, found), remote_addr=(host, port), family=socket.AF_INET
        )
    except Exception as error:
        raise AddressUnknown(f"the STUN server {host}:{port} cannot be asked: {error}") from None
    try:
        request = stun.encode(stun.BINDING_REQUEST, transaction_id, {})
        for _ in range(STUN_TRIES):
            transport.sendto(request)
            done, _ = await asyncio.wait([found], timeout=STUN_S / STUN_TRIES)
            if done:
                return found.result()
    finally:
        transport.close()
        found.cancel()
    raise AddressUnknown(f"the STUN server {host}:{port} does not answer")


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, transaction_id: bytes, found: "asyncio.Future[str]") -> None:
        self._transaction_id = transaction_id
        self._found = found

    def datagram_received(self, data: bytes, addr: object) -> None:
        message = stun.parse(data)
        if message is None or message.transaction_id != self._transaction_id or self._found.done():
            return
        if address := message.mapped_address:
            self._found.set_result(address[0])
