"""ICE-lite (RFC 8445): answers the other side's connectivity checks, and sends none.

Whoever signs a check with the call's password is the call's caller, from whatever address it comes: that is how a
call follows its caller from Wi-Fi to mobile. The checks are also the consent to send (RFC 7675). Pure.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from repartee.rtc import stun
from repartee.rtc.stun import Address, StunMessage

CONSENT_S = 30.0
"""Without a check for so long, the other side is gone (RFC 7675, 5.1)."""

MOST_ADDRESSES = 8
"""Addresses that one caller may be at; the one heard of the longest time ago is forgotten."""


MOST_CHECKS = 64
"""So many of the last checks are remembered: one that comes again from another address was overheard."""


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """One side's name and password, from its session description."""

    ufrag: str
    password: str


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """What a check led to: ``answer`` goes back; ``accepted`` says whether its sender may send to us from there."""

    answer: bytes
    accepted: bool


class IceSide(Protocol):
    """What a connection needs of its side of ICE."""

    address: Address | None

    @property
    def ufrags(self) -> Sequence[str]:
        """Under which names checks may come."""

    @property
    def addresses(self) -> Sequence[Address]:
        """Where the other side has shown to be."""

    @property
    def consent_until(self) -> float:
        """When the other side counts as gone."""

    def receive(self, request: StunMessage, source: Address, now: float) -> CheckAnswer | None:
        """A binding request. None: it is not answered."""


class IceLite:
    """The lite side of one session. Times are seconds."""

    def __init__(
        self,
        own: IceCredentials,
        remote_ufrag: str,
        *,
        tie_breaker: int,
        now: float,
        consent_s: float = CONSENT_S,
    ) -> None:
        self.own = own
        self.controlling = False
        self.address: Address | None = None
        self._consent_s = consent_s
        self._tie_breaker = tie_breaker
        self._sides: OrderedDict[str, tuple[IceCredentials, str]] = OrderedDict()
        self._addresses: OrderedDict[Address, None] = OrderedDict()
        self._checks: OrderedDict[bytes, Address] = OrderedDict()
        self._checked_at = now
        self.restart(own, remote_ufrag)

    def __repr__(self) -> str:
        return f"<IceLite {self.own.ufrag}: {len(self._addresses)} addresses, at {self.address}>"

    @property
    def ufrags(self) -> list[str]:
        """Under which names checks may come: this session's, and that of before its restart."""
        return list(self._sides)

    @property
    def addresses(self) -> list[Address]:
        """Where the other side has shown to be."""
        return list(self._addresses)

    @property
    def consent_until(self) -> float:
        """When the other side counts as gone, unless it checks again."""
        return self._checked_at + self._consent_s

    def restart(self, own: IceCredentials, remote_ufrag: str) -> None:
        """Take new credentials. Those of before are good until a check uses the new ones (RFC 8445, 9)."""
        self.own = own
        self._sides[own.ufrag] = (own, remote_ufrag)
        while len(self._sides) > 2:
            self._sides.popitem(last=False)

    def receive(self, request: StunMessage, source: Address, now: float) -> CheckAnswer | None:
        """A binding request. None: it is not answered."""
        names = request.username
        if request.type != stun.BINDING_REQUEST or names is None or names[0] not in self._sides:
            return None
        own, remote_ufrag = self._sides[names[0]]
        password = own.password.encode()
        if names[1] != remote_ufrag or not request.is_signed_with(password):
            return None
        if self._checks.setdefault(request.transaction_id, source) != source:
            return None
        while len(self._checks) > MOST_CHECKS:
            self._checks.popitem(last=False)
        if self._in_conflict(request):
            return CheckAnswer(stun.role_conflict(request, password), accepted=False)
        self._accept(request, source, now)
        if own is self.own:
            for old in [ufrag for ufrag in self._sides if ufrag != own.ufrag]:
                del self._sides[old]
        return CheckAnswer(stun.success(request, source, password), accepted=True)

    def _accept(self, request: StunMessage, source: Address, now: float) -> None:
        self._checked_at = now
        self._addresses[source] = None
        self._addresses.move_to_end(source)
        if stun.USE_CANDIDATE in request.attributes or self.address is None:
            self.address = source
        while len(self._addresses) > MOST_ADDRESSES:
            oldest = next(address for address in self._addresses if address != self.address)
            del self._addresses[oldest]

    def _in_conflict(self, request: StunMessage) -> bool:
        """RFC 8445, 7.3.1.1: who has the smaller tie-breaker gives way."""
        claimed = request.attributes.get(stun.ICE_CONTROLLING if self.controlling else stun.ICE_CONTROLLED)
        if claimed is None or len(claimed) != 8:
            return False
        is_larger = self._tie_breaker >= int.from_bytes(claimed, "big")
        if is_larger == self.controlling:
            return True
        self.controlling = not self.controlling
        return False
