"""The edge's settings, from the environment of a process or from a Worker's variables and secrets.

Read once into one frozen object; all faults are reported together. No message holds a secret's value. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repartee_edge import geo
from repartee_edge.credentials import ApiKeys, Identity, parse_api_keys
from repartee_edge.failover import DEFAULT_POLICY, FailoverPolicy
from repartee_edge.regions import RegionsError, RegionTable, load_regions
from repartee_edge.regions_data import REGIONS_JSON
from repartee_edge.telephone.names import SETTING_NAMES as TELEPHONE_NAMES
from repartee_edge.tickets import MIN_KEY_BYTES, TicketKeys

KNOWN_KEY = "dev"
"""The API key of a system that runs on a developer's machine."""

SETTING_NAMES = (
    "REPARTEE_API_KEY",
    "REPARTEE_TICKET_KEY",
    "REPARTEE_TICKET_KEY_PREVIOUS",
    "REPARTEE_REGIONS",
    "REPARTEE_ALLOWED_ORIGINS",
    "REPARTEE_TRUSTED_PROXIES",
    "REPARTEE_EDGE_COLO",
    "REPARTEE_ATTEMPT_MS",
    "REPARTEE_RATE_PER_KEY",
    "REPARTEE_RATE_PER_IP",
    "REPARTEE_CALLS_PER_KEY",
    "REPARTEE_CALLS_PER_TOKEN",
    "REPARTEE_EDGE_DRAIN_S",
    "REPARTEE_EDGE_PROBE_S",
    *TELEPHONE_NAMES,
)

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from repartee_edge.telephone.settings import TelephoneTable

    Network = IPv4Network | IPv6Network


class SettingsError(ValueError):
    """Settings are wrong; ``faults`` names everything that is, one sentence each."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(f"- {fault}" for fault in faults))


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """All of the edge's settings. Rates are requests a minute; ``calls_per_key`` and ``calls_per_token`` bound
    the calls at once of an API key and of a browser token; ``colo`` is the airport nearest to this edge."""

    table: RegionTable
    api_keys: ApiKeys
    ticket_keys: TicketKeys
    allowed_origins: frozenset[str] = frozenset()
    trusted_proxies: "tuple[Network, ...]" = ()
    colo: str | None = None
    failover: FailoverPolicy = DEFAULT_POLICY
    rate_per_key: int = 6000
    rate_per_ip: int = 3000
    calls_per_key: int = 500
    calls_per_token: int = 2
    drain_s: int = 30
    probe_s: int = 2
    telephone: "TelephoneTable | None" = None

    @property
    def own_machine_only(self) -> bool:
        """The key that everybody knows is taken: then only this machine's own pages and names are served."""
        return self.api_keys.id_of(KNOWN_KEY) is not None

    def calls_at_once(self, identity: Identity) -> int:
        """How many calls of this caller may be under way at once."""
        return self.calls_per_token if identity.by_client_secret else self.calls_per_key


def read_settings(env: Mapping[str, str], regions_json: str | None = None) -> EdgeSettings:
    """The settings in ``env``; ``regions_json`` is the text of a regions file that replaces the shipped one.

    Raises SettingsError.
    """
    faults: list[str] = []
    api_keys = _api_keys(env.get("REPARTEE_API_KEY", ""), faults)
    ticket_keys = _ticket_keys(env, faults)
    table = _table(regions_json or env.get("REPARTEE_REGIONS") or REGIONS_JSON, faults)
    origins = _origins(env.get("REPARTEE_ALLOWED_ORIGINS", ""), faults)
    proxies = _networks(env.get("REPARTEE_TRUSTED_PROXIES", ""), faults)
    colo = _colo(env.get("REPARTEE_EDGE_COLO"), faults)
    attempt_ms = _whole(env, "REPARTEE_ATTEMPT_MS", 800, 50, 10_000, faults)
    rate_per_key = _whole(env, "REPARTEE_RATE_PER_KEY", 6000, 1, 1_000_000, faults)
    rate_per_ip = _whole(env, "REPARTEE_RATE_PER_IP", 3000, 1, 1_000_000, faults)
    calls_per_key = _whole(env, "REPARTEE_CALLS_PER_KEY", 500, 1, 1_000_000, faults)
    calls_per_token = _whole(env, "REPARTEE_CALLS_PER_TOKEN", 2, 1, 1_000_000, faults)
    drain_s = _whole(env, "REPARTEE_EDGE_DRAIN_S", 30, 0, 3600, faults)
    probe_s = _whole(env, "REPARTEE_EDGE_PROBE_S", 2, 1, 60, faults)
    telephone = _telephone(env, faults)
    if faults or table is None or ticket_keys is None:
        raise SettingsError(faults)
    return EdgeSettings(
        table=table,
        api_keys=api_keys,
        ticket_keys=ticket_keys,
        allowed_origins=origins,
        trusted_proxies=proxies,
        colo=colo,
        failover=FailoverPolicy(attempt_ms=attempt_ms, attempt_longest_ms=max(2000, attempt_ms)),
        rate_per_key=rate_per_key,
        rate_per_ip=rate_per_ip,
        calls_per_key=calls_per_key,
        calls_per_token=calls_per_token,
        drain_s=drain_s,
        probe_s=probe_s,
        telephone=telephone,
    )


def _api_keys(text: str, faults: list[str]) -> ApiKeys:
    pairs, wrong = parse_api_keys(text)
    faults += [f"REPARTEE_API_KEY: {fault}" for fault in wrong]
    if not pairs and not wrong:
        faults.append(
            "REPARTEE_API_KEY is not set: give the key (or id:key, several with commas) that callers present"
        )
    return ApiKeys(pairs)


def _ticket_keys(env: Mapping[str, str], faults: list[str]) -> TicketKeys | None:
    current, previous = env.get("REPARTEE_TICKET_KEY", ""), env.get("REPARTEE_TICKET_KEY_PREVIOUS") or None
    hint = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
    before = len(faults)
    if not current:
        faults.append(f"REPARTEE_TICKET_KEY is not set: edge and regions share it; {hint}")
    elif len(current.encode()) < MIN_KEY_BYTES:
        faults.append(f"REPARTEE_TICKET_KEY is shorter than {MIN_KEY_BYTES} bytes: {hint}")
    if previous is not None and len(previous.encode()) < MIN_KEY_BYTES:
        faults.append(
            f"REPARTEE_TICKET_KEY_PREVIOUS is shorter than {MIN_KEY_BYTES} bytes: leave it empty if there is none"
        )
    return None if len(faults) > before else TicketKeys(current, previous)


def _table(text: str, faults: list[str]) -> RegionTable | None:
    try:
        return load_regions(text)
    except RegionsError as error:
        faults += [f"regions: {fault}" for fault in error.faults]
        return None


def _telephone(env: Mapping[str, str], faults: list[str]) -> "TelephoneTable | None":
    if not any(env.get(name, "").strip() for name in TELEPHONE_NAMES):
        return None
    # Imported here because a Worker without telephone calls would pay for it at each cold start.
    from repartee_edge.telephone.settings import read_telephone

    return read_telephone(env, faults)


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _origins(text: str, faults: list[str]) -> frozenset[str]:
    items = _items(text)
    wrong = [
        i for i in items if i != "*" and (not i.startswith(("https://", "http://")) or i.count("/") != 2)
    ]
    faults += [
        f"REPARTEE_ALLOWED_ORIGINS: {i!r} is not an origin such as https://shop.example, or *" for i in wrong
    ]
    return frozenset(items)


def _networks(text: str, faults: list[str]) -> "tuple[Network, ...]":
    # Imported here because a Worker, which needs no such list, would pay for it at each cold start.
    import ipaddress

    networks: list[Network] = []
    for item in _items(text):
        try:
            networks.append(ipaddress.ip_network(item, strict=False))
        except ValueError:
            faults.append(
                f"REPARTEE_TRUSTED_PROXIES: {item!r} is not an address or a network such as 10.0.0.0/8"
            )
    return tuple(networks)


def _colo(code: str | None, faults: list[str]) -> str | None:
    if not code:
        return None
    if geo.colo_position(code) is None:
        faults.append(f"REPARTEE_EDGE_COLO: {code!r} is not the IATA code of an airport, such as FRA")
    return code.strip().upper()


def _whole(env: Mapping[str, str], name: str, default: int, low: int, high: int, faults: list[str]) -> int:
    text = env.get(name)
    if text is None or not text.strip():
        return default
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        faults.append(f"{name} must be a whole number from {low} to {high}, not {text!r}")
    return value
