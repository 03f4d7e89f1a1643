"""Addresses at this region of what is to become of calls, for carriers whose APIs take no documents. Pure.

The document is in the address itself, signed, so that any process of the region can answer with it.
"""

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import Final, Literal, cast
from urllib.parse import urlencode

from repartee.app.carriers.api import CallDocument
from repartee_edge.telephone.terms import FIELD, MAX_CHARS, sign_terms, verify_terms
from repartee_edge.tickets import TicketKeys, TicketMalformed

AUDIENCE: Final = "repartee-region:document"
VERBS: Final = ("dial", "conference", "end")
MOST_SAID_BYTES: Final = 8 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class DocumentLinks:
    """``public_url`` is the region's, as carriers know it. Without it, or without a ticket key, there are none."""

    public_url: str
    ticket_key: str
    region: str
    now: float

    def url(self, carrier: str, document: CallDocument) -> str:
        """Where the document is; empty if it cannot be anywhere, or is too long for an address."""
        if not (self.public_url and self.ticket_key):
            return ""
        said = base64.b64encode(zlib.compress(document.say.encode())).decode()
        words = {"verb": document.verb, "to": document.to, "say": said}
        terms = sign_terms(
            TicketKeys(self.ticket_key),
            region=self.region,
            agent="",
            metadata=words,
            now=self.now,
            audience=AUDIENCE,
        )
        if len(terms) > MAX_CHARS:
            return ""
        return f"{self.public_url}/v1/telephone/{carrier}/document?{urlencode({FIELD: terms})}"


def linked_document(keys: TicketKeys, terms: str, now: float) -> CallDocument:
    """What an address holds. Raises TicketError."""
    words = verify_terms(keys, terms, now, audience=AUDIENCE).metadata
    verb = words.get("verb", "")
    if verb not in VERBS:
        raise TicketMalformed("this is no document")
    try:
        inflating = zlib.decompressobj()
        say = inflating.decompress(base64.b64decode(words.get("say", "")), MOST_SAID_BYTES).decode()
    except (binascii.Error, zlib.error, UnicodeDecodeError):
        raise TicketMalformed("this is no document") from None
    return CallDocument(cast(Literal["dial", "conference", "end"], verb), words.get("to", ""), say)
