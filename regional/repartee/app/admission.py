"""Who gets in: a ticket, and one of the worker's call slots, taken before the socket is accepted.

Pure but for the clock's readings, which come in as ``now``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from repartee.errors import AdmissionRefused
from repartee_edge.tickets import (
    Ticket,
    TicketKeys,
    TicketMalformed,
    verify,
)

TICKET_HEADER = "x-repartee-ticket"
TICKET_SUBPROTOCOL = "openai-insecure-api-key."
"""A browser cannot set headers; OpenAI's clients send the token as a subprotocol with this prefix."""

FULL_RETRY_AFTER_S = 2
DRAINING_RETRY_AFTER_S = 1


class SharedSlots(Protocol):
    """Slots that several processes share."""

    def take(self) -> bool:
        """Take one, if one is free in any of them."""

    def give_back(self) -> None:
        """It is free again."""


class UsedTickets(Protocol):
    """The tickets that have been used."""

    def use(self, ticket: Ticket, now: float) -> None:
        """Mark a verified ticket as used. Raises TicketReplayed if it was."""


class Slots:
    """The worker's call slots. Taking one never waits, so there is no race to over-accept in.

    ``taken`` are this process's; with ``shared``, others take of the same slots.
    """

    def __init__(self, limit: int, shared: SharedSlots | None = None) -> None:
        self.limit = limit
        self._shared = shared
        self.taken = 0
        self.draining = False

    def __repr__(self) -> str:
        return f"<Slots: {self.taken} of {self.limit}{', draining' if self.draining else ''}>"

    @contextmanager
    def one(self) -> Iterator[None]:
        """A slot for as long as the context is open. Raises AdmissionRefused."""
        if self.draining:
            raise AdmissionRefused(
                "This worker is being replaced: connect again.", retry_after_s=DRAINING_RETRY_AFTER_S
            )
        if not self._take():
            raise AdmissionRefused(
                f"This worker is full ({self.limit} calls): try again.", retry_after_s=FULL_RETRY_AFTER_S
            )
        try:
            yield
        finally:
            self.taken -= 1
            if self._shared:
                self._shared.give_back()

    def _take(self) -> bool:
        free = self._shared.take() if self._shared else self.taken < self.limit
        self.taken += free
        return free


@dataclass(frozen=True, slots=True)
class TicketGate:
    """Lets in whoever has a ticket for this region; each ticket once.

    ``keys`` None: only anonymous sessions are possible. ``allow_anonymous``: callers need no ticket (the server
    must then listen on loopback only; its start checks that).
    """

    region: str
    keys: TicketKeys | None
    allow_anonymous: bool
    seen: UsedTickets

    def check(self, headers: Mapping[str, str], subprotocols: list[str], now: float) -> Ticket | None:
        """The caller's ticket (None: anonymous, and allowed). ``now`` is seconds since the epoch.

        Raises TicketError.
        """
        ticket = self.read(headers, subprotocols, now)
        if ticket is not None:
            self.seen.use(ticket, now)
        return ticket

    def read(self, headers: Mapping[str, str], subprotocols: list[str], now: float) -> Ticket | None:
        """The same, for requests that begin no call: does not use up the ticket. Raises TicketError."""
        token = ticket_in(headers, subprotocols)
        if token is None or self.keys is None:
            if self.allow_anonymous:
                return None
            raise TicketMalformed("A session needs a ticket: connect through the edge, which gives one.")
        return verify(self.keys, token, region=self.region, now=now)


def ticket_in(headers: Mapping[str, str], subprotocols: list[str]) -> str | None:
    """The ticket that a request carries: from the edge's header, as a bearer token, or as a subprotocol."""
    if token := headers.get(TICKET_HEADER):
        return token
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    for name in subprotocols:
        if name.startswith(TICKET_SUBPROTOCOL):
            return name.removeprefix(TICKET_SUBPROTOCOL)
    return None
