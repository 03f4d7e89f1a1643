"""Which web origins and hosts a server with a key that everybody knows may be used from.

A page of any site can open a WebSocket to a developer's machine; the browser says in ``Origin`` whose page it is. A
site can also have its own name resolve to 127.0.0.1, which makes it its own origin; then ``Host`` gives it away. So
both have to be of this machine, or listed. Pure.
"""

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

ANY = "*"


def refusal(origin: str | None, host: str | None, allowed: Collection[str] = ()) -> str | None:
    """Why a request with these headers is refused, in words for the one who sent it; None if it is not.

    ``allowed`` holds further origins, such as https://me.tunnel.example, whose hosts count too, or ``*`` for all.
    A request without Origin does not come from another site's page.
    """
    if ANY in allowed:
        return None
    if origin is not None and not _is_loopback_origin(origin) and origin.lower() not in _lowered(allowed):
        return _words("pages of the origin", origin)
    if host is not None and not is_loopback(host) and host.strip().lower() not in _hosts(allowed):
        return _words("requests for the host", host)
    return None


def is_loopback(authority: str) -> bool:
    """Whether a host, with or without a port, is this machine by a name that no site can take."""
    name = _name(authority)
    if name is None:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _words(what: str, shown: str) -> str:
    named = shown[:200]
    example = named if named.startswith(("http://", "https://")) else f"https://{named}"
    return (
        f"{what} {named!r} are not taken here: this server runs for this machine alone, without a key of its own. "
        f"To let them in, list {example} in REPARTEE_ALLOWED_ORIGINS; better, set a REPARTEE_API_KEY of your own."
    )


def _is_loopback_origin(origin: str) -> bool:
    scheme, separator, authority = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and is_loopback(authority)


def _name(authority: str) -> str | None:
    """The host name of an authority, lower-case; None if it is not one."""
    try:
        parts = urlsplit(f"//{authority.strip()}")
        _ = parts.port
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname


def _lowered(allowed: Collection[str]) -> set[str]:
    return {origin.lower() for origin in allowed}


def _hosts(allowed: Collection[str]) -> set[str]:
    """The allowed origins' hosts, as a Host header has them; a default port may be written out."""
    hosts: set[str] = set()
    for origin in _lowered(allowed):
        scheme, _, authority = origin.partition("://")
        hosts |= {authority, f"{authority}:{443 if scheme == 'https' else 80}"}
    return hosts
