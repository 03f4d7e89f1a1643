"""The way out to providers: directly, or through an HTTP proxy. One rule for all of them, and for the doctor. Pure.

It is the rule that other HTTP clients have. ``HTTPS_PROXY`` is for https and wss, ``HTTP_PROXY`` for http and ws,
``ALL_PROXY`` for what neither names, ``NO_PROXY`` for hosts that are reached directly; lower case goes before
upper. Requests to this machine itself never go through a proxy. We ask a proxy for a tunnel (CONNECT): TLS is
between us and the provider, and the proxy sees a name and a port. With another kind of proxy the program does not
start, and says why.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

SECURE, PLAIN, ALL, DIRECT = "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"
USUAL_PORT = 80


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """A proxy, and the variable that names it. ``authorization`` is a header's value; empty: none is sent."""

    host: str
    port: int
    variable: str
    authorization: str = field(default="", repr=False)

    @property
    def named(self) -> str:
        """For people, without its password."""
        return f"the proxy at {self.host}:{self.port} ({self.variable})"


def read_proxy(variable: str, value: str) -> HttpProxy:
    """A proxy as a variable names it: ``http://user:password@host:port``, or ``host:port``. Raises ValueError."""
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme != "http":
        raise ValueError(
            f"must be an HTTP proxy, as in http://proxy.example.com:3128; {parts.scheme} proxies cannot be used"
        )
    try:
        port = parts.port or USUAL_PORT
    except ValueError:
        raise ValueError("must have a port from 1 to 65535, as in http://proxy.example.com:3128") from None
    if not parts.hostname:
        raise ValueError("must name a host, as in http://proxy.example.com:3128")
    authorization = ""
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(user.encode()).decode()}"
    return HttpProxy(parts.hostname, port, variable, authorization)


def proxy_for(host: str, port: int, *, secure: bool, environment: Mapping[str, str]) -> HttpProxy | None:
    """The proxy through which a host is reached; None: directly. Raises ValueError for one that cannot be used."""
    if _is_here(host) or bypasses(_value(environment, DIRECT), host, port):
        return None
    for variable in (SECURE if secure else PLAIN, ALL):
        if value := _value(environment, variable):
            return read_proxy(variable, value)
    return None


def bypasses(listed: str, host: str, port: int) -> bool:
    """Whether ``NO_PROXY`` names a host.

    Entries stand between commas: ``*`` for all, ``example.com`` for it and what is below it, ``.example.com`` for
    what is below it, an address or a network (``10.0.0.0/8``); each may end in a port.
    """
    return any(_names(entry.strip().lower(), host.lower().rstrip("."), port) for entry in listed.split(","))


def _value(environment: Mapping[str, str], variable: str) -> str:
    return (environment.get(variable.lower()) or environment.get(variable) or "").strip()


def _is_here(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, colon, only = entry.rpartition(":")
    if colon and only.isdigit() and (":" not in name or name.endswith("]")):
        if int(only) != port:
            return False
        entry = name
    if not entry:
        return False
    if (address := _address(host)) is not None:
        try:
            return address in ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            return False
    below = entry.removeprefix("*")
    return host.endswith(below) if below.startswith(".") else host == below or host.endswith(f".{below}")
