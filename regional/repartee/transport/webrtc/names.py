"""Names of calls and of their ICE credentials, from which any worker of a fleet can tell whose call it is. Pure.

A worker's label is where its neighbours reach it (an IPv4 address and a port). It is signed, so that nobody can
divert a request by making up a name. A call's id also names which of that worker's processes holds it.
"""

import hmac
import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

_LABEL = r"[0-9a-f]{12}[0-9a-f]{8}"
_CALL = re.compile(rf"rtc_(?P<region>[a-z0-9-]{{1,64}})_(?P<label>{_LABEL})(?P<call>[0-9a-f]{{16}})")
_UFRAG = re.compile(rf"(?P<label>{_LABEL})(?P<random>[0-9a-f]{{16}})")


@dataclass(frozen=True, slots=True)
class WorkerLabel:
    """Where a worker's neighbours reach it. Port 0: they do not."""

    host: str = "0.0.0.0"
    port: int = 0

    def signed(self, key: bytes) -> str:
        """The label as it stands in names."""
        words = IPv4Address(self.host).packed.hex() + f"{self.port:04x}"
        return words + _signature(words, key)


@dataclass(frozen=True, slots=True)
class CallName:
    """The name of a call, as clients know it. ``call_id``: 16 hexadecimal digits, of which the first two are the
    index of its process."""

    region: str
    label: str
    call_id: str

    def __str__(self) -> str:
        return f"rtc_{self.region}_{self.label}{self.call_id}"

    @property
    def process(self) -> int:
        """Which of its worker's processes holds it, from 0."""
        return int(self.call_id[:2], 16)


def new_call_id(process: int, random: str) -> str:
    """An id for a call of this process. ``random`` is 14 hexadecimal digits."""
    return f"{process:02x}{random}"


def read_call(name: str) -> CallName | None:
    """The parts of a call's name; None if it is none."""
    found = _CALL.fullmatch(name)
    return CallName(found["region"], found["label"], found["call"]) if found else None


def read_label(label: str, key: bytes) -> WorkerLabel | None:
    """Whose label this is; None if it is none, or signed with another key."""
    words, signature = label[:12], label[12:]
    if not re.fullmatch(_LABEL, label) or not hmac.compare_digest(signature, _signature(words, key)):
        return None
    try:
        return WorkerLabel(str(IPv4Address(bytes.fromhex(words[:8]))), int(words[8:], 16))
    except AddressValueError:
        return None


def new_ufrag(label: str, random: str) -> str:
    """A name for ICE that says which worker it is at. ``random`` is 16 hexadecimal digits."""
    return label + random


def label_in_ufrag(ufrag: str) -> str | None:
    """The label in a name for ICE; None if it has none."""
    found = _UFRAG.fullmatch(ufrag)
    return found["label"] if found else None


def _signature(words: str, key: bytes) -> str:
    return hmac.digest(key, b"worker:" + words.encode(), "sha256").hex()[:8]
