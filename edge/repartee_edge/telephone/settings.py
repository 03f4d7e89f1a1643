"""The edge's settings for telephone calls: carriers' keys, its own public address, which number is whose. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from repartee_edge import bounded_json, geo
from repartee_edge.telephone.names import KEY_NAMES
from repartee_edge.telephone.signatures import CARRIERS, CarrierKeys

BUSY = "We cannot take your call at the moment. Please try again later."
MAX_BUSY_CHARS: Final = 500
MAX_NUMBERS: Final = 10_000
MAX_NUMBERS_BYTES: Final = 1_000_000
ANY: Final = "*"
"""In the table of numbers: all that are not in it."""

MEDIA_COLOS: Final[Mapping[str, str]] = {"twilio": "IAD"}
"""Where carriers stream from unless an account is set up otherwise; from where a webhook comes, for the others."""

HOME_COLOS: Final[Mapping[str, str]] = {"us1": "IAD", "ie1": "DUB", "au1": "SYD"}
"""Twilio's regions, which a webhook names."""

_NUMBER = re.compile(r"\+?[0-9A-Za-z_.@:-]{1,64}")


@dataclass(frozen=True, slots=True)
class NumberEntry:
    """Whose a called number is: the agent that answers, and the airport nearest to where its carrier streams from."""

    agent: str = ""
    media: str = ""


@dataclass(frozen=True, slots=True)
class TelephoneTable:
    """What the edge knows of telephone calls. Without ``numbers`` every number of the account is answered."""

    keys: CarrierKeys = field(default_factory=CarrierKeys)
    public_url: str = ""
    numbers: Mapping[str, NumberEntry] = field(default_factory=dict)
    media: Mapping[str, str] = field(default_factory=dict)
    busy: str = BUSY

    def entry(self, called: str) -> NumberEntry | None:
        """Whose a number is; None: nobody's."""
        if not self.numbers:
            return NumberEntry()
        return self.numbers.get(called) or self.numbers.get(ANY)

    def media_colo(self, carrier: str, entry: NumberEntry, home: str) -> str | None:
        """The airport nearest to where the carrier streams from; ``home`` is Twilio's word for it."""
        known = HOME_COLOS.get(home.lower()) if carrier == "twilio" else None
        return entry.media or self.media.get(carrier) or known or MEDIA_COLOS.get(carrier)


def read_telephone(env: Mapping[str, str], faults: list[str]) -> TelephoneTable:
    """The telephone's settings; what is wrong is added to ``faults``, without any secret."""
    keys = {}
    for name, key in KEY_NAMES.items():
        keys[key] = env.get(name, "").strip()
        if len(keys[key].split()) > 1:
            faults.append(f"{name} holds a space: it is no key")
    url = env.get("REPARTEE_PUBLIC_URL", "").strip().rstrip("/")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("https", "http") or not parts.hostname or parts.path or parts.query):
        faults.append(
            f"REPARTEE_PUBLIC_URL must be an address such as https://voice.example.com, not {url!r}"
        )
    if any(keys.values()) and not url:
        faults.append(
            "REPARTEE_PUBLIC_URL is not set: carriers sign the edge's public address with their webhooks"
        )
    busy = env.get("REPARTEE_TELEPHONE_BUSY", "").strip() or BUSY
    if len(busy) > MAX_BUSY_CHARS:
        faults.append(f"REPARTEE_TELEPHONE_BUSY may have {MAX_BUSY_CHARS} characters")
    return TelephoneTable(
        CarrierKeys(**keys),
        url,
        _numbers(env.get("REPARTEE_TELEPHONE_NUMBERS", ""), faults),
        _media(env.get("REPARTEE_TELEPHONE_MEDIA", ""), faults),
        busy,
    )


def _numbers(text: str, faults: list[str]) -> dict[str, NumberEntry]:
    if not text.strip():
        return {}
    try:
        listed = bounded_json.read(text.encode(), max_bytes=MAX_NUMBERS_BYTES)
    except bounded_json.BadJson:
        listed = None
    if not isinstance(listed, dict) or len(listed) > MAX_NUMBERS:
        faults.append(
            'REPARTEE_TELEPHONE_NUMBERS must be an object such as {"+15550100": "bank", "*": {"agent": "desk"}}'
        )
        return {}
    found = {}
    for number, said in listed.items():
        entry = {"agent": said} if isinstance(said, str) else said
        if (
            not (number == ANY or _NUMBER.fullmatch(number))
            or not isinstance(entry, dict)
            or not set(entry) <= {"agent", "media"}
            or not all(isinstance(value, str) for value in entry.values())
            or (entry.get("media") and geo.colo_position(entry["media"]) is None)
        ):
            shown = json.dumps(number)[:80]
            faults.append(
                f"REPARTEE_TELEPHONE_NUMBERS: {shown} must be a number with an agent's name, or with an agent and a "
                "media airport"
            )
            continue
        found[number] = NumberEntry(**entry)
    return found


def _media(text: str, faults: list[str]) -> dict[str, str]:
    found = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        carrier, _, colo = item.partition("=")
        if carrier not in CARRIERS or geo.colo_position(colo) is None:
            faults.append(
                f"REPARTEE_TELEPHONE_MEDIA: {item!r} is not like twilio=DUB (an airport's IATA code)"
            )
            continue
        found[carrier] = colo.strip().upper()
    return found
