"""Who holds a WebRTC call: this process, another of its worker's, or another worker of the region.

Owns what calls are named after. Must not know how requests are passed on.
"""

import secrets
from dataclasses import dataclass

from repartee.app.processes.membership import INNER_HOST, Membership
from repartee.app.settings import Settings
from repartee.app.webrtc_address import private_address
from repartee.transport.webrtc.names import CallName, WorkerLabel, new_call_id, read_label


@dataclass(frozen=True, slots=True)
class Holders:
    """As one process sees them. ``label`` is its worker's, signed with ``key``; ``membership`` its place among the
    worker's processes, if there are several."""

    label: str
    key: bytes
    membership: Membership | None = None

    def new_name(self, region: str) -> CallName:
        """A name for a call of this process."""
        index = self.membership.index if self.membership else 0
        return CallName(region, self.label, new_call_id(index, secrets.token_hex(7)))

    def holder(self, name: CallName, *, forwarded: bool) -> str | None:
        """Where a call is held that is not here, as host:port; None: nowhere that is known.

        What another worker has ``forwarded`` goes to a process of this one at most, so nothing goes round in circles.
        """
        if name.label == self.label:
            return self._sibling(name.process)
        label = None if forwarded else read_label(name.label, self.key)
        return f"{label.host}:{label.port}" if label and label.port else None

    def _sibling(self, process: int) -> str | None:
        if self.membership is None or process == self.membership.index:
            return None
        port = self.membership.port_of(process)
        return f"{INNER_HOST}:{port}" if port else None


async def worker_label(settings: Settings) -> WorkerLabel:
    """Where this worker's neighbours reach it. Raises AddressUnknown."""
    said = settings.worker_address
    if not said:
        return WorkerLabel()
    host, _, port = said.rpartition(":")
    return WorkerLabel(host or await private_address(settings.ecs_metadata_uri), int(port))


def label_key(settings: Settings, membership: Membership | None) -> bytes:
    """What workers sign their labels with: one key for the fleet, else one of this worker's own."""
    fleets = settings.ticket_key.get_secret_value().encode()
    return fleets or (membership.secret if membership else _OWN_KEY)


_OWN_KEY = secrets.token_bytes(32)
