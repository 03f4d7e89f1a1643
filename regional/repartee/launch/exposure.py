"""Which addresses a part may listen on: not beyond this machine with a key that everybody knows."""

import ipaddress
import os

from repartee.errors import ConfigurationError

KNOWN_KEY = "dev"
"""The API key of `repartee up` where none is set."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def has_known_key(api_keys: str) -> bool:
    """Whether one of these keys, as REPARTEE_API_KEY lists them, is the one that everybody knows."""
    return any(each.rpartition(":")[2].strip() == KNOWN_KEY for each in api_keys.split(","))


def check_exposure(host: str, api_keys: str | None = None) -> None:
    """Raises ConfigurationError where others could use the known key. None: the keys in the environment."""
    keys = os.environ.get("REPARTEE_API_KEY", "") if api_keys is None else api_keys
    if not is_loopback(host) and has_known_key(keys):
        raise ConfigurationError(
            f"--host {host} does not go with the API key {KNOWN_KEY!r}: everybody knows that key, and anyone who "
            "reaches this machine could place calls at your cost. Set REPARTEE_API_KEY to a key of your own "
            "(openssl rand -base64 24 makes one), or leave --host out to listen on loopback only."
        )
