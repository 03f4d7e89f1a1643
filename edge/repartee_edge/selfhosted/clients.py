"""Who and where a self-hosted edge's client is: its address behind trusted proxies, and geoip2's word on it."""

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path

import geoip2.database
import geoip2.errors
import maxminddb

from repartee_edge.placement import Caller

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class DatabaseError(ValueError):
    """The MaxMind database can't be used; the message says why."""


class Locator:
    """Looks addresses up in any MaxMind City (or Country) database; without one it knows nothing of them."""

    def __init__(self, path: Path | None, colo: str | None = None) -> None:
        self._colo = colo
        self._reader: geoip2.database.Reader | None = None
        if path is None:
            return
        try:
            self._reader = geoip2.database.Reader(path)
        except FileNotFoundError:
            raise DatabaseError(f"--mmdb: there is no file {path}") from None
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            raise DatabaseError(f"--mmdb: {path} is not a MaxMind database: {error}") from None

    @property
    def database(self) -> str | None:
        """The database's type, such as GeoLite2-City; None without one."""
        return None if self._reader is None else self._reader.metadata().database_type

    def locate(self, address: str, *, direct: bool) -> Caller:
        """What is known of the caller at an IP address."""
        if self._reader is None:
            return Caller(colo=self._colo, direct=direct)
        city = "City" in self._reader.metadata().database_type
        try:
            found = self._reader.city(address) if city else self._reader.country(address)
        except (geoip2.errors.AddressNotFoundError, ValueError):
            return Caller(colo=self._colo, direct=direct)
        location = getattr(found, "location", None)
        return Caller(
            colo=self._colo,
            country=found.country.iso_code,
            continent=found.continent.code,
            latitude=location.latitude if location else None,
            longitude=location.longitude if location else None,
            direct=direct,
        )

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


def client_address(peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> str:
    """The client's address: the peer's, or the last in X-Forwarded-For that no trusted proxy added."""
    address = peer
    for hop in reversed(
        [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    ):
        if not _within(address, trusted):
            break
        if not _is_address(hop):
            break
        address = hop
    return address


def _within(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
