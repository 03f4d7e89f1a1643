"""TCP connections to providers as the environment says: directly, or through an HTTP proxy's tunnel.

Every dial to a provider, and the doctor's, goes through :func:`dialled`. This module does not know what goes over a
tunnel.
"""

import asyncio
import os
import socket

from repartee.providers.egress import HttpProxy, proxy_for
from repartee.providers.tcp_dial import connected

MOST_HEAD_BYTES = 16_384
"""A proxy that says more before it opens a tunnel speaks another protocol."""


class ProxyError(OSError):
    """A proxy cannot be reached, or opens no tunnel; the message names it, and its variable."""


def way_to(host: str, port: int, *, secure: bool) -> HttpProxy | None:
    """The proxy through which the environment has this host reached, if any. Raises ProxyError for one that cannot
    be used."""
    try:
        return proxy_for(host, port, secure=secure, environment=os.environ)
    except ValueError as error:
        raise ProxyError(str(error)) from None


async def dialled(host: str, port: int, *, secure: bool) -> socket.socket:
    """A non-blocking socket that leads to the host.

    The caller bounds the time. Raises OSError (ProxyError for the proxy's faults, socket.gaierror for a name without
    an address).
    """
    proxy = way_to(host, port, secure=secure)
    return await connected(host, port) if proxy is None else await _through(proxy, host, port)


async def _through(proxy: HttpProxy, host: str, port: int) -> socket.socket:
    try:
        made = await connected(proxy.host, proxy.port)
    except OSError as error:
        raise ProxyError(f"{proxy.named} cannot be reached: {error.strerror or error}") from error
    try:
        await _open_tunnel(made, proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except BaseException:
        made.close()
        raise
    return made


async def _open_tunnel(made: socket.socket, proxy: HttpProxy, target: str) -> None:
    loop = asyncio.get_running_loop()
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    try:
        await loop.sock_sendall(made, "\r\n".join([*lines, "", ""]).encode())
        said = b""
        while b"\r\n\r\n" not in said and len(said) <= MOST_HEAD_BYTES:
            piece = await loop.sock_recv(made, 4096)
            if not piece:
                raise ProxyError(f"{proxy.named} closed the connection when it was asked for {target}")
            said += piece
    except ProxyError:
        raise
    except OSError as error:
        raise ProxyError(f"{proxy.named} broke off: {error.strerror or error}") from error
    head, _, rest = said.partition(b"\r\n\r\n")
    version, _, status = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    if not version.startswith("HTTP/1.") or (status[:1] == "2" and rest):
        raise ProxyError(f"{proxy.named} is no HTTP proxy")
    if status[:1] != "2":
        raise ProxyError(f"{proxy.named} opens no tunnel to {target}: {status.strip()}")
