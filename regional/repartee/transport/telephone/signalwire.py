"""SignalWire's cXML streams: Twilio's messages; ``mediaFormat`` says what the document's ``codec`` asked for. Pure.

https://developer.signalwire.com/compatibility-api/cxml/voice/stream/
"""

from repartee.transport.telephone.twilio import TwilioFraming


class SignalWireFraming(TwilioFraming):
    """Implements :class:`~repartee.transport.telephone.framing.Framing`."""

    carrier = "signalwire"
