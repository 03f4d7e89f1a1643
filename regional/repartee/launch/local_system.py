"""What a whole system on this machine consists of: stand-ins, regional workers and an edge, all on loopback."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from repartee.errors import ConfigurationError
from repartee.launch.exposure import KNOWN_KEY, check_exposure, is_loopback
from repartee.launch.local_carriers import LocalCarriers, carriers_here
from repartee.launch.processes import Part
from repartee.providers.vendor import Account, VendorKind
from repartee.providers.vendors import ACCOUNTS, listed

STANDINS_PORT_OFFSET = 13
TLS_PORT_OFFSET = 12
"""Where the edge listens for this machine alone, while TLS has its port."""

MOST_REGIONS = 8
HOSTS = ("127.0.0.1", "0.0.0.0")
"""Where the edge may listen: for this machine, or on all of its addresses. The regions stay on loopback."""

STANDIN_KEY = "stand-in"
FRONT_DESK = "repartee.launch.front_desk:agent"
"""The agent that answers when no other is named."""


@dataclass(frozen=True, slots=True)
class SystemOptions:
    """What `repartee up` was asked for. ``profile`` sets the stand-ins' latencies; ``host`` is the edge's address;
    ``tls``: it is reached over TLS, with a certificate made for that."""

    port: int = 8787
    regions: int = 2
    agent: str | None = None
    profile: str | None = None
    host: str = "127.0.0.1"
    tls: bool = False
    telephone: bool = False
    """With telephone carriers' stand-ins, whose numbers reach the edge."""

    store_file: str = ":memory:"
    """Where its calls are kept, unless REPARTEE_STORE_FILE names another place."""

    @property
    def edge_address(self) -> tuple[str, int]:
        """Where the edge itself listens."""
        return ("127.0.0.1", self.port + TLS_PORT_OFFSET) if self.tls else (self.host, self.port)


@dataclass(frozen=True, slots=True)
class LocalSystem:
    """The parts, in the order in which they have to be ready, and how to call them."""

    stages: tuple[tuple[Part, ...], ...]
    url: str
    api_key: str
    region_names: tuple[str, ...]
    real_providers: tuple[str, ...]
    certificate: Path | None = None
    """What a client has to trust, where it is reached over TLS."""
    ticket_key: str = ""
    region_urls: tuple[str, ...] = ()
    telephone_url: str = ""
    """Where the telephone network is, if there is one."""


def local_system(options: SystemOptions, environ: Mapping[str, str], folder: Path) -> LocalSystem:
    """Lay out a system; writes its regions file into ``folder``. Raises ConfigurationError."""
    _check(options)
    regions = _regions(options)
    regions_file = folder / "regions.json"
    regions_file.write_text(json.dumps({"regions": regions}, indent=2))
    api_key = environ.get("REPARTEE_API_KEY") or KNOWN_KEY
    needed = _needed(environ)
    real = tuple(account for account in ACCOUNTS if _is_chosen(account, environ))
    standins_port = options.port + STANDINS_PORT_OFFSET
    ticket_key = secrets.token_urlsafe(32)
    carriers = carriers_here(environ) if options.telephone else None
    shared = {
        "REPARTEE_TICKET_KEY": ticket_key,
        "REPARTEE_API_KEY": api_key,
        "REPARTEE_DASHBOARD_KEY": api_key,
        "REPARTEE_DRAIN_S": "0",
        # What is tried out here is not kept among the experience of this user's own regions.
        "REPARTEE_STORE_FILE": environ.get("REPARTEE_STORE_FILE") or options.store_file,
        "REPARTEE_RECORDS": environ.get("REPARTEE_RECORDS") or "words",
        # Its regions share this machine: each takes a port that is free.
        "REPARTEE_WEBRTC_PORT": environ.get("REPARTEE_WEBRTC_PORT") or "0",
        **_provider_env(real, f"http://127.0.0.1:{standins_port}", environ),
        **(carriers.customer_env(f"http://127.0.0.1:{standins_port}") if carriers else {}),
    }
    check_exposure(options.host, api_key)
    edge_host, edge_port = options.edge_address
    edge_command = [
        "edge",
        "--host",
        edge_host,
        "--port",
        str(edge_port),
        "--regions",
        str(regions_file),
    ]
    url = f"{'https' if options.tls else 'http'}://127.0.0.1:{options.port}"
    front = (
        *(_region_part(str(region["name"]), str(region["host"]), options, shared) for region in regions),
        Part(
            "edge",
            edge_command,
            edge_port,
            env={**shared, **({"REPARTEE_PUBLIC_URL": url} if carriers else {})},
        ),
    )
    wanted = carriers is not None or not set(needed) <= set(real)
    stages = (_standins(standins_port, options.profile, url, carriers), front) if wanted else (front,)
    return LocalSystem(
        stages=stages,
        url=url,
        api_key=api_key,
        region_names=tuple(str(region["name"]) for region in regions),
        real_providers=tuple(account.label for account in real),
        ticket_key=ticket_key,
        region_urls=tuple(str(region["host"]) for region in regions),
        telephone_url=f"http://127.0.0.1:{standins_port}/telephone/" if carriers else "",
    )


def _check(options: SystemOptions) -> None:
    if options.host not in HOSTS:
        raise ConfigurationError(f"--host must be {' or '.join(HOSTS)}, not {options.host}.")
    if not 1 <= options.regions <= MOST_REGIONS:
        raise ConfigurationError(f"--regions must be from 1 to {MOST_REGIONS}, not {options.regions}.")
    if options.telephone and options.tls:
        raise ConfigurationError(
            "--telephone and --tls do not go together: the carriers here come over plain HTTP."
        )
    if not 1 <= options.port <= 65535 - STANDINS_PORT_OFFSET:
        raise ConfigurationError(
            f"--port must be from 1 to {65535 - STANDINS_PORT_OFFSET} (the other parts take the ports above it)."
        )


def _regions(options: SystemOptions) -> list[dict[str, object]]:
    """The first regions of the shipped table, the enabled ones before the others, on this machine's ports."""
    from repartee_edge.regions_data import REGIONS_JSON

    listed = json.loads(REGIONS_JSON)["regions"]
    chosen = sorted(listed, key=lambda region: not region["enabled"])[: options.regions]
    return [
        {
            "name": region["name"],
            "latitude": region["latitude"],
            "longitude": region["longitude"],
            "host": f"http://127.0.0.1:{options.port + 1 + n}",
            "enabled": True,
        }
        for n, region in enumerate(chosen)
    ]


def _standins(
    port: int, profile: str | None, edge_url: str, carriers: LocalCarriers | None
) -> tuple[Part, ...]:
    command = ["standins", "--port", str(port), *(["--profile", profile] if profile else [])]
    if carriers:
        command += ["--telephone", edge_url]
    env = carriers.carrier_env() if carriers else {}
    return (Part("stand-ins", command, port, "/standins/profile", env=env),)


def _region_part(name: str, url: str, options: SystemOptions, env: Mapping[str, str]) -> Part:
    port = urlsplit(url).port or 80
    if options.telephone:
        edge = f"http://127.0.0.1:{options.port}"
        env = {**env, "REPARTEE_PUBLIC_URL": url, "REPARTEE_EDGE_URL": edge, "REPARTEE_DIAL_HOURS": "0-24"}
    guard = ["--loopback-only"] if is_loopback(options.host) else []
    command = [
        "region",
        "--workers",
        "1",
        *guard,
        "--port",
        str(port),
        "--agent",
        options.agent or FRONT_DESK,
    ]
    if options.agent:
        command.append("--reload")
    return Part(f"region {name}", command, port, env={**env, "REPARTEE_REGION": name})


def _needed(environ: Mapping[str, str]) -> tuple[Account, ...]:
    """The accounts that a cascade's calls need. Raises ConfigurationError for those that neither the user nor a
    stand-in has."""
    needed: list[Account] = []
    for kind in (VendorKind.STT, VendorKind.LLM, VendorKind.TTS):
        try:
            vendor = listed(kind, environ.get(kind.variable, ""))[0]
        except ValueError as error:
            raise ConfigurationError(f"{kind.variable}: {error}.") from None
        account = vendor.account
        if account.stand_in is None and not _is_chosen(account, environ):
            raise ConfigurationError(
                f"{kind.variable}={vendor.name}: {account.label} has no stand-in. Export {account.key_variable}, or "
                f"unset {kind.variable}."
            )
        needed.append(account)
    return tuple(dict.fromkeys(needed))


def _is_chosen(account: Account, environ: Mapping[str, str]) -> bool:
    """Whether the user has a key for a provider, or an address of their own."""
    return bool(environ.get(account.key_variable) or environ.get(account.url_variable))


def _provider_env(real: tuple[Account, ...], standins_url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Point the providers that nobody chose at their stand-ins; the others are left as they are."""
    env: dict[str, str] = {}
    stand_ins: list[str] = []
    for account in ACCOUNTS:
        if account not in real and account.stand_in is not None:
            stand_ins.append(account.name)
            env[account.key_variable] = STANDIN_KEY
            env[account.url_variable] = standins_url + account.stand_in
        elif account in real and not environ.get(account.key_variable):
            # A server of one's own often wants no key, but its client does.
            env[account.key_variable] = STANDIN_KEY
    env["REPARTEE_STAND_INS"] = ",".join(stand_ins)
    return env


def environment() -> Mapping[str, str]:
    """This process's environment."""
    return os.environ
