"""The calling side of ICE with a lite one (RFC 8445): sends checks to its candidates and uses the first that answers.

A caller is controlling: it names the pair to be used with each check. Pure; times are seconds.
"""

from collections.abc import Callable
from typing import Final

from repartee.rtc import stun
from repartee.rtc.ice import CONSENT_S, CheckAnswer, IceCredentials
from repartee.rtc.stun import Address, StunMessage

CHECK_S: Final = 0.05
"""Between two checks while none has been answered."""

KEEP_S: Final = 2.5
"""Between two checks after that."""

MOST_WAITING: Final = 64
_PRIORITY: Final = (1_845_501_695).to_bytes(4, "big")


class IceCaller:
    """One connection's checks. ``new_id`` gives 12 random bytes."""

    def __init__(
        self,
        own: IceCredentials,
        remote: IceCredentials,
        candidates: list[Address],
        *,
        tie_breaker: int,
        new_id: Callable[[], bytes],
        now: float,
    ) -> None:
        self.own = own
        self.address: Address | None = None
        self.rtt_ms: float | None = None
        self._remote = remote
        self._candidates = list(candidates)
        self._tie_breaker = tie_breaker.to_bytes(8, "big")
        self._new_id = new_id
        self._waiting: dict[bytes, tuple[Address, float]] = {}
        self._answered_at = now
        self.due = now
        """When :meth:`checks` is due."""

    @property
    def ufrags(self) -> list[str]:
        """Under which names checks may come."""
        return [self.own.ufrag]

    @property
    def addresses(self) -> list[Address]:
        """Where the other side has answered."""
        return [] if self.address is None else [self.address]

    @property
    def consent_until(self) -> float:
        """When the other side counts as gone, unless it answers again."""
        return self._answered_at + CONSENT_S

    def restart(
        self, own: IceCredentials, remote: IceCredentials, candidates: list[Address], now: float
    ) -> None:
        """Begin anew, with the credentials of another offer and answer."""
        self.own, self._remote, self._candidates = own, remote, list(candidates)
        self._waiting.clear()
        self.address = None
        self.due = now

    def checks(self, now: float) -> list[tuple[bytes, Address]]:
        """The checks to send now, each with where to."""
        if now < self.due:
            return []
        self.due = now + (CHECK_S if self.address is None else KEEP_S)
        return [(self._check(candidate, now), candidate) for candidate in self.addresses or self._candidates]

    def answered(self, message: StunMessage, source: Address, now: float) -> bool:
        """An answer to a check; whether it is one, and the first."""
        sent = self._waiting.pop(message.transaction_id, None)
        if sent is None or message.type != stun.BINDING_SUCCESS or sent[0] != source:
            return False
        if not message.is_signed_with(self._remote.password.encode()):
            return False
        self._answered_at = now
        self.rtt_ms = (now - sent[1]) * 1000
        if self.address is not None:
            return False
        self.address = source
        self.due = now + KEEP_S
        return True

    def receive(self, request: StunMessage, source: Address, now: float) -> CheckAnswer | None:
        """A check of the other side's (a full one sends them)."""
        names = request.username
        password = self.own.password.encode()
        if request.type != stun.BINDING_REQUEST or names is None or names[0] != self.own.ufrag:
            return None
        if not request.is_signed_with(password):
            return None
        return CheckAnswer(stun.success(request, source, password), accepted=False)

    def _check(self, candidate: Address, now: float) -> bytes:
        transaction_id = self._new_id()
        self._waiting[transaction_id] = (candidate, now)
        while len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        attributes = {
            stun.USERNAME: f"{self._remote.ufrag}:{self.own.ufrag}".encode(),
            stun.PRIORITY: _PRIORITY,
            stun.ICE_CONTROLLING: self._tie_breaker,
            stun.USE_CANDIDATE: b"",
        }
        return stun.encode(stun.BINDING_REQUEST, transaction_id, attributes, self._remote.password.encode())
