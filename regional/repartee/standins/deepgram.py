"""Deepgram's streaming recognition: the handshakes of ``/v1/listen`` and ``/v2/listen``.

Owns keys, query parameters, refusals and request ids. The conversations that follow are in :mod:`.flux` and
:mod:`.nova`.
"""

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from repartee.standins.faults import FAULT_QUERY
from repartee.standins.flux import FluxParameters, FluxSession
from repartee.standins.keyterms import keyterms_fault
from repartee.standins.link import Link, Scope
from repartee.standins.listening import HeardFormat
from repartee.standins.nova import NovaParameters, NovaSession
from repartee.standins.pcm import SAMPLE_BYTES
from repartee.standins.state import StandInState, key_is_good

FLUX_MODELS = ("flux-general-en", "flux-general-multi")
NOVA_FAMILIES = ("nova-3", "nova-2", "nova", "enhanced", "base")
# fmt: off
FLUX_KNOWN = frozenset((
    "authorization", "eager_eot_threshold", "encoding", "eot_threshold", "eot_timeout_ms", "keyterm",
    "language_hint", "mip_opt_out", "model", "numerals", "profanity_filter", "redact", "sample_rate", "tag",
))
NOVA_KNOWN = frozenset((
    "authorization", "callback", "callback_method", "channels", "detect_entities", "diarize", "diarize_model",
    "dictation", "encoding", "endpointing", "extra", "interim_results", "keyterm", "keywords", "language",
    "language_hint", "mip_opt_out", "model", "multichannel", "numerals", "profanity_filter", "punctuate",
    "redact", "replace", "sample_rate", "search", "smart_format", "tag", "utterance_end_ms", "vad_events",
    "version",
))
# fmt: on
"""All that their addresses may ask for, by Deepgram's SDK."""

REFUSALS = {
    401: ("INVALID_AUTH", "Invalid credentials."),
    429: ("TOO_MANY_REQUESTS", "Too many requests. Please try again later."),
    500: ("INTERNAL_SERVER_ERROR", "An internal error has occurred."),
    503: ("SERVICE_UNAVAILABLE", "The service is not available at the moment."),
}


@dataclass(slots=True)
class Query:
    """Reads query parameters; what is wrong with them gathers in ``faults``."""

    pairs: list[tuple[str, str]]
    faults: list[str]

    def text(self, key: str, default: str | None = None) -> str | None:
        """The last value given for the key."""
        return next((value for name, value in reversed(self.pairs) if name == key), default)

    def only(self, known: Collection[str]) -> None:
        """No parameters but these (and ours, which asks for a fault)."""
        strange = [name for name, _ in self.pairs if name not in known and name != FAULT_QUERY]
        self.faults += [f"{name} is not a parameter" for name in strange]

    def several(self, key: str) -> list[str]:
        """All values given for the key."""
        return [value for name, value in self.pairs if name == key]

    def number(self, key: str, low: float, high: float) -> float | None:
        """A number within bounds, both included."""
        raw = self.text(key)
        if raw is None:
            return None
        try:
            value = float(raw)
        except ValueError:
            self.faults.append(f"{key} must be a number, not '{raw}'")
            return None
        if not low <= value <= high:
            self.faults.append(f"{key} must be between {low:g} and {high:g}, not {raw}")
            return None
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """``true`` or ``false``."""
        raw = self.text(key)
        if raw is not None and raw not in ("true", "false"):
            self.faults.append(f"{key} must be true or false, not '{raw}'")
        return default if raw is None else raw == "true"

    def audio(self) -> HeardFormat:
        """Encoding and sample rate; audio in a container is not taken by the stand-in."""
        encoding = self.text("encoding")
        if encoding not in SAMPLE_BYTES:
            self.faults.append(f"encoding must be one of {', '.join(SAMPLE_BYTES)} here, not '{encoding}'")
        if self.text("sample_rate") is None:
            self.faults.append("sample_rate is required with an encoding")
        rate = self.number("sample_rate", 8000, 48000)
        return HeardFormat(encoding or "linear16", int(rate or 16000))


def _keyterms(query: Query) -> tuple[str, ...]:
    terms = tuple(query.several("keyterm"))
    if (over := keyterms_fault(terms)) is not None:
        query.faults.append(over)
    return terms


def read_flux(query: Query) -> FluxParameters:
    """The settings of a Flux stream; mistakes go to ``query.faults``."""
    query.only(FLUX_KNOWN)
    model = query.text("model")
    if model not in FLUX_MODELS:
        query.faults.append(f"model must be one of {', '.join(FLUX_MODELS)}, not '{model}'")
    eager = query.number("eager_eot_threshold", 0.3, 0.9)
    threshold = query.number("eot_threshold", 0.5, 1.0)
    timeout = query.number("eot_timeout_ms", 500, 60000)
    settings = FluxParameters(
        audio=query.audio(),
        eager_eot_threshold=eager,
        eot_threshold=0.7 if threshold is None else threshold,
        eot_timeout_ms=5000 if timeout is None else int(timeout),
        keyterms=_keyterms(query),
        language_hints=tuple(query.several("language_hint")),
    )
    if settings.eager_eot_threshold is not None and settings.eager_eot_threshold > settings.eot_threshold:
        query.faults.append("eager_eot_threshold must not be above eot_threshold")
    return settings


def read_nova(query: Query) -> NovaParameters:
    """The settings of a nova stream; mistakes go to ``query.faults``."""
    query.only(NOVA_KNOWN)
    model = query.text("model") or "base"
    if not any(model == family or model.startswith(family + "-") for family in NOVA_FAMILIES):
        query.faults.append(f"model '{model}' is not known")
    endpointing: float | None = 10.0
    match query.text("endpointing"):
        case "false":
            endpointing = None
        case "true" | None:
            pass
        case _:
            endpointing = query.number("endpointing", 0, 10000)
    channels = query.number("channels", 1, 8)
    if channels is not None and channels != 1:
        query.faults.append("channels must be 1 here: the stand-in hears mono")
    _keyterms(query)
    utterance_end = query.number("utterance_end_ms", 1000, 5000)
    interim = query.flag("interim_results")
    if utterance_end is not None and not interim:
        query.faults.append("utterance_end_ms needs interim_results=true")
    return NovaParameters(
        audio=query.audio(),
        model=model,
        interim_results=interim,
        endpointing_ms=endpointing,
        utterance_end_ms=utterance_end,
        vad_events=query.flag("vad_events"),
        punctuate=query.flag("punctuate") or query.flag("smart_format"),
    )


async def listen_v1(scope: Scope, receive: Any, send: Any, state: StandInState) -> None:
    """The ASGI application of ``/v1/listen``."""

    async def run(link: Link, query: Query, request_id: str) -> Callable[[], Any] | None:
        settings = read_nova(query)
        return None if query.faults else lambda: NovaSession(link, state, settings, request_id)

    await _listen(scope, receive, send, state, run)


async def listen_v2(scope: Scope, receive: Any, send: Any, state: StandInState) -> None:
    """The ASGI application of ``/v2/listen``."""

    async def run(link: Link, query: Query, request_id: str) -> Callable[[], Any] | None:
        settings = read_flux(query)
        return None if query.faults else lambda: FluxSession(link, state, settings, request_id)

    await _listen(scope, receive, send, state, run)


async def _listen(scope: Scope, receive: Any, send: Any, state: StandInState, read: Any) -> None:
    link = Link(scope, receive, send, lambda: state.stats.of("deepgram"), state.faults)
    request_id = str(uuid.uuid4())
    if not await link.admit("deepgram"):
        return
    status = link.fault.refusal_status if link.fault is not None else None
    if status is None and deepgram_key(link) is None:
        status = 401
    if status is not None:
        await refuse_deepgram(link, status, request_id)
        return
    query = Query(link.query, [])
    make = await read(link, query, request_id)
    if make is None:
        await refuse_deepgram(link, 400, request_id, "; ".join(query.faults) + ".")
        return
    await make().run()


def deepgram_key(link: Link) -> str | None:
    """The good key from ``Authorization: Token KEY`` (or Bearer), or from the subprotocols ``token, KEY``."""
    kind, _, key = link.headers.get("authorization", "").partition(" ")
    if kind.lower() in ("token", "bearer"):
        return key.strip() if key_is_good(key.strip()) else None
    protocols = [part.strip() for part in link.headers.get("sec-websocket-protocol", "").split(",")]
    named = len(protocols) == 2 and protocols[0] in ("token", "bearer")
    return protocols[1] if named and key_is_good(protocols[1]) else None


async def refuse_deepgram(link: Link, status: int, request_id: str, message: str | None = None) -> None:
    """Answer a handshake as Deepgram does."""
    code, usual = REFUSALS.get(status, ("INVALID_QUERY_PARAMETER", "The request is invalid."))
    text = message or usual
    await link.refuse(
        status,
        {"dg-error": text, "dg-request-id": request_id},
        {"err_code": code, "err_msg": text, "request_id": request_id},
    )
