"""The carriers whose streams are spoken here. Pure."""

from collections.abc import Callable, Mapping
from typing import Final

from repartee.transport.telephone.exotel import ExotelFraming
from repartee.transport.telephone.framing import Framing
from repartee.transport.telephone.plivo import PlivoFraming
from repartee.transport.telephone.signalwire import SignalWireFraming
from repartee.transport.telephone.telnyx import TelnyxFraming
from repartee.transport.telephone.twilio import TwilioFraming
from repartee.transport.telephone.vonage import VonageFraming

FRAMINGS: Final[Mapping[str, Callable[[], Framing]]] = {
    "twilio": TwilioFraming,
    "telnyx": TelnyxFraming,
    "signalwire": SignalWireFraming,
    "plivo": PlivoFraming,
    "vonage": VonageFraming,
    "exotel": ExotelFraming,
}
"""What makes a stream's framing, by the carrier's name in paths."""
