"""The table of vendors: all that Repartee knows of any vendor beside the file that talks to it.

Settings, the opening of providers, the doctor, `repartee up`, the regions file's schema and the documentation read it
(``tools/generate_vendors.py`` writes what cannot). docs/extending.md shows how a vendor is added: a file and a row.
"""

import re
from collections.abc import Iterable, Mapping

from repartee.providers.vendor import (
    Account,
    KeytermLimit,
    Vendor,
    VendorKind,
    VendorSetting,
    json_object,
    not_empty,
    number,
    one_of,
)
from repartee.providers.vendor_checks import answers, connects, model_ends, speaks

HERE = "repartee.providers"
STT, LLM, TTS, SPEECH_TO_SPEECH = VendorKind

DEEPGRAM = Account("deepgram", "Deepgram", "https://api.deepgram.com", stand_in="")
OPENAI = Account(
    "openai",
    "OpenAI",
    "https://api.openai.com/v1",
    stand_in="/v1",
    key_note="Key for OpenAI, or for the compatible server at OPENAI_BASE_URL.",
    url_note="Where OpenAI, or a compatible server, is; with its /v1.",
)
CARTESIA = Account("cartesia", "Cartesia", "https://api.cartesia.ai", stand_in="")
ELEVENLABS = Account("elevenlabs", "ElevenLabs", "https://api.elevenlabs.io", stand_in="")

DEEPGRAM_KEYTERMS = KeytermLimit(terms=100, tokens=500)
"""What is over it is worse than refused: since October 2026 such a stream stops writing down, and ends after 30 s."""

FLUX_IDLE = VendorSetting(
    "REPARTEE_FLUX_IDLE_S",
    "How long a spare connection to Flux may wait for its call before it is replaced, in seconds.",
    "20",
    number(5, 3_600),
)
LLM_MODEL = VendorSetting(
    "REPARTEE_LLM_MODEL", "The language model, where the agent names none.", "gpt-5.6-luna", not_empty
)
EFFORT = VendorSetting(
    "REPARTEE_REASONING_EFFORT",
    "How much the language model may reason before it answers; empty: the least that its family can do.",
    check=one_of("none", "minimal", "low", "medium", "high", "xhigh", "max"),
)
SERVICE_TIER = VendorSetting(
    "REPARTEE_SERVICE_TIER", "The language model's `service_tier`; empty: none is asked for."
)
EXTRA_BODY = VendorSetting(
    "REPARTEE_LLM_EXTRA",
    "Further fields of each request to the language model, as a JSON object.",
    check=json_object,
)
REALTIME_MODEL = VendorSetting(
    "REPARTEE_REALTIME_MODEL",
    "The speech-to-speech model, where the agent names none.",
    "gpt-realtime-1.5",
    not_empty,
)


def id_and_version(value: str) -> str:
    """Raises ValueError for what has not both."""
    if value and not all(value.partition(":")):
        raise ValueError("must be an id and a version, as in abc:def")
    return value


def _voice(account: Account, default: str) -> VendorSetting:
    described = f"{account.label}'s id of the voice, where neither the agent nor REPARTEE_VOICE names one."
    return VendorSetting(f"REPARTEE_VOICE_{account.name.upper()}", described, default, not_empty)


CARTESIA_VOICE = _voice(CARTESIA, "f786b574-daa5-4673-aa0c-cbe3e8534c02")
ELEVENLABS_VOICE = _voice(ELEVENLABS, "JBFqnCBsd6RMkjVDRZzb")

FLUX_VOICE = VendorSetting(
    "REPARTEE_VOICE_FLUX_TTS",
    "Deepgram's name of the Flux TTS voice, where neither the agent nor REPARTEE_VOICE names one.",
    "flux-alexis-en",
    not_empty,
)


def twentieths(value: str) -> str:
    """A speed as Deepgram takes it, or nothing. Raises ValueError."""
    number(0.5, 1.5)(value)
    if value and abs(float(value) * 20 - round(float(value) * 20)) > 1e-6:
        raise ValueError("must be in steps of 0.05")
    return value


FLUX_VOICE_OPTIONS = {
    "speed": VendorSetting("REPARTEE_FLUX_TTS_SPEED", "How fast it speaks; 1 is usual.", check=twentieths)
}
CARTESIA_OPTIONS = {
    "model": VendorSetting("REPARTEE_CARTESIA_MODEL", "Cartesia's model.", "sonic-3.5", not_empty),
    "speed": VendorSetting(
        "REPARTEE_CARTESIA_SPEED", "How fast it speaks; 1 is usual.", check=number(0.6, 1.5)
    ),
    "volume": VendorSetting(
        "REPARTEE_CARTESIA_VOLUME", "How loud it speaks; 1 is usual.", check=number(0.5, 2)
    ),
    "emotion": VendorSetting("REPARTEE_CARTESIA_EMOTION", "How it feels, as `calm` or `sympathetic`."),
    "pronunciation": VendorSetting(
        "REPARTEE_CARTESIA_PRONUNCIATION", "The id of a pronunciation dictionary."
    ),
}
ELEVENLABS_OPTIONS = {
    "model": VendorSetting("REPARTEE_ELEVENLABS_MODEL", "ElevenLabs' model.", "eleven_flash_v2_5", not_empty),
    "speed": VendorSetting(
        "REPARTEE_ELEVENLABS_SPEED", "How fast it speaks; 1 is usual.", check=number(0.7, 1.2)
    ),
    "pronunciation": VendorSetting(
        "REPARTEE_ELEVENLABS_PRONUNCIATION",
        "A pronunciation dictionary, as its id and its version with a colon between them.",
        check=id_and_version,
    ),
}


def _tags(named: str) -> frozenset[str]:
    return frozenset(named.split())


FLUX_LANGUAGES = _tags("en es fr de hi ru pt ja it nl")
"""Those of Deepgram's flux-general-en and flux-general-multi."""

CARTESIA_LANGUAGES = _tags(
    "en fr de es pt zh ja hi it ko nl pl ru sv tr tl bg ro ar cs el fi hr ms sk da ta uk hu no vi bn th he ka id te "
    "gu kn ml mr pa or ur"
)
"""As Cartesia's SDK lists them."""

ELEVENLABS_LANGUAGES = _tags(
    "en ja zh de hi fr ko pt it es id nl tr fil pl sv bg ro ar cs el fi hr ms sk da ta uk ru hu no vi"
)
"""Those of Flash v2.5."""


def _variables(options: Mapping[str, VendorSetting]) -> dict[str, str]:
    return {name: setting.variable for name, setting in options.items()}


LLM_OPTIONS = {
    "reasoning_effort": EFFORT.variable,
    "service_tier": SERVICE_TIER.variable,
    "extra_body": EXTRA_BODY.variable,
}
LLM_OWN_OPTIONS = frozenset({"service_tier", "extra_body"})
VOICE_OWN_OPTIONS = frozenset({"model", "pronunciation"})

VENDORS: tuple[Vendor, ...] = (
    Vendor(
        "flux",
        STT,
        DEEPGRAM,
        f"{HERE}.deepgram:open_flux",
        connects,
        (FLUX_IDLE,),
        keyterms=DEEPGRAM_KEYTERMS,
        note="decides itself when a turn is over, and says early when it may be",
        languages=FLUX_LANGUAGES,
    ),
    Vendor(
        "nova",
        STT,
        DEEPGRAM,
        f"{HERE}.deepgram:open_nova",
        connects,
        keyterms=DEEPGRAM_KEYTERMS,
        note="writes down words; when a turn is over is this program's rule",
    ),
    Vendor(
        "openai",
        LLM,
        OPENAI,
        f"{HERE}.openai_chat:open_chat",
        answers,
        (LLM_MODEL, EFFORT, SERVICE_TIER, EXTRA_BODY),
        model=LLM_MODEL.variable,
        options=LLM_OPTIONS,
        note="chat completions, at OpenAI or any compatible server",
        ends=model_ends,
        own_options=LLM_OWN_OPTIONS,
    ),
    Vendor(
        "ink-2",
        STT,
        CARTESIA,
        f"{HERE}.cartesia_stt:open_ink",
        connects,
        note="decides itself when a turn is over, and says early when it may be; English",
        languages=_tags("en"),
    ),
    Vendor(
        "cartesia",
        TTS,
        CARTESIA,
        f"{HERE}.cartesia:open_cartesia",
        speaks,
        (CARTESIA_VOICE, *CARTESIA_OPTIONS.values()),
        voice=CARTESIA_VOICE.variable,
        options=_variables(CARTESIA_OPTIONS),
        note="one socket for all voices and languages",
        languages=CARTESIA_LANGUAGES,
        own_options=VOICE_OWN_OPTIONS,
    ),
    Vendor(
        "flux-tts",
        TTS,
        DEEPGRAM,
        f"{HERE}.deepgram_tts:open_flux_voice",
        speaks,
        (FLUX_VOICE, *FLUX_VOICE_OPTIONS.values()),
        voice=FLUX_VOICE.variable,
        options=_variables(FLUX_VOICE_OPTIONS),
        note="takes a reply in pieces; tells no times of words; English",
        languages=_tags("en"),
        own_options=VOICE_OWN_OPTIONS,
    ),
    Vendor(
        "elevenlabs",
        TTS,
        ELEVENLABS,
        f"{HERE}.elevenlabs:open_elevenlabs",
        speaks,
        (ELEVENLABS_VOICE, *ELEVENLABS_OPTIONS.values()),
        voice=ELEVENLABS_VOICE.variable,
        options=_variables(ELEVENLABS_OPTIONS),
        note="a socket for each voice and language",
        languages=ELEVENLABS_LANGUAGES,
        own_options=VOICE_OWN_OPTIONS,
    ),
    Vendor(
        "openai",
        SPEECH_TO_SPEECH,
        OPENAI,
        f"{HERE}.openai_realtime:open_realtime",
        connects,
        (REALTIME_MODEL,),
        model=REALTIME_MODEL.variable,
        note="the Realtime API; hears and speaks itself",
        ends=model_ends,
    ),
)

USUAL = {STT: "flux", LLM: "openai", TTS: "cartesia", SPEECH_TO_SPEECH: "openai"}
"""The vendors that serve where no setting names others."""

ACCOUNTS: tuple[Account, ...] = tuple(dict.fromkeys(vendor.account for vendor in VENDORS))


NAMED_LLM = re.compile(r"[a-z][a-z0-9_-]*")
"""What a language model of the deployment's own may be called."""


def named_llm(name: str, url: str = "") -> Vendor:
    """A row for a language model that REPARTEE_LLM itself names: any server of chat completions, with a model and a
    key of its own."""
    prefix = f"REPARTEE_LLM_{name.upper().replace('-', '_')}"
    account = Account(name, name, url, prefix=prefix)
    model = VendorSetting(f"{prefix}_MODEL", f"The model at {name}.", "", not_empty)
    return Vendor(
        name,
        LLM,
        account,
        f"{HERE}.openai_chat:open_chat",
        answers,
        (model, EFFORT, SERVICE_TIER, EXTRA_BODY),
        model=model.variable,
        options=LLM_OPTIONS,
        note="chat completions",
        ends=model_ends,
        own_options=LLM_OWN_OPTIONS,
    )


def listed(kind: VendorKind, names: str) -> tuple[Vendor, ...]:
    """The vendors of a kind that a setting names, in its order. Raises ValueError."""
    known = {vendor.name: vendor for vendor in VENDORS if vendor.kind is kind}
    wanted = [name.strip() for name in (names or USUAL[kind]).split(",")]
    rows = [_named(known, name) if kind is LLM else known.get(name) for name in wanted]
    found = [row for row in rows if row is not None]
    if len(found) < len(wanted) or _repeated(row.name for row in found):
        some = ", each once, with commas between them" if len(known) > 1 or kind is LLM else ""
        others = " or name=address" if kind is LLM else ""
        raise ValueError(f"must be of {', '.join(known)}{others}{some}")
    return tuple(found)


def _named(known: Mapping[str, Vendor], entry: str) -> Vendor | None:
    name, _, url = entry.partition("=")
    if name in known and not url:
        return known[name]
    return named_llm(name, url) if NAMED_LLM.fullmatch(name) else None


def _repeated(names: Iterable[str]) -> bool:
    every = [name.replace("-", "_") for name in names]
    return len(set(every)) < len(every)
