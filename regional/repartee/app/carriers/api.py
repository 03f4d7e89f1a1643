"""What a region asks carriers' APIs for: the vocabulary that all of them share. Pure.

Each carrier's own names, addresses and forms are in a file of its own; asking is elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from repartee_edge.telephone import documents


@dataclass(frozen=True, slots=True, repr=False)
class CarrierRequest:
    """A request to a carrier's API, with a form or an object if it has a body."""

    url: str
    method: Literal["POST", "GET", "PUT", "DELETE"] = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: tuple[str, str] | None = None
    form: Mapping[str, str] | None = None
    json: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class CallDocument:
    """What becomes of a call: it is connected to the number ``to``; or into the conference ``to``, once ``say`` has
    been said in the carrier's voice; or it ends when that has been said."""

    verb: Literal["dial", "conference", "end"]
    to: str = ""
    say: str = ""

    def text(self, carrier: str) -> str:
        """In the carrier's language."""
        match self.verb:
            case "dial":
                reply = documents.dial(carrier, self.to)
            case "conference":
                reply = documents.conference(carrier, self.to, self.say)
            case "end":
                reply = documents.say_and_hang_up(carrier, self.say)
        return reply.text or ""


@dataclass(frozen=True, slots=True, repr=False)
class CallToPlace:
    """A call to ``to`` from ``number``. ``answer`` is what becomes of it when somebody has answered, or the address
    of what says so. ``ended_url`` hears that it is over, and ``machine_url``, unless it is empty, that a machine has
    answered: after its beep, if ``after_beep``."""

    to: str
    number: str
    answer: str | CallDocument
    ended_url: str = ""
    machine_url: str = ""
    after_beep: bool = False
    ring_s: int = 30


class CarrierApi(Protocol):
    """One account at one carrier: what can be done with its calls."""

    def hang_up(self, call_id: str) -> CarrierRequest:
        """End a call."""

    def steer(self, call_id: str, document: CallDocument) -> CarrierRequest | None:
        """Have this become of a call, in place of its stream. None: that cannot be asked for."""


class PlacingApi(CarrierApi, Protocol):
    """The same, where calls can be placed too."""

    @property
    def hears_beeps(self) -> bool:
        """It can say when an answering machine has begun to record."""

    def place(self, call: CallToPlace) -> CarrierRequest:
        """Call somebody."""

    def placed_id(self, answer: Mapping[str, Any]) -> str:
        """The id of a call that was placed; empty if the answer has none."""

    def look(self, call_id: str) -> CarrierRequest | None:
        """Ask for a call's ``status``. None: the carrier does not say whether somebody has answered."""


def can_join(api: PlacingApi) -> bool:
    """It can say when a person has answered, and put them into a conference with somebody."""
    return api.look("") is not None and api.steer("", CallDocument("conference")) is not None
