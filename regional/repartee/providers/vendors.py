"""The table of vendors: all that Repartee knows of any vendor beside the file that talks to it.

Settings, the opening of providers, the doctor, `repartee up`, the regions file's schema and the documentation read it
(``tools/generate_vendors.py`` writes what cannot). docs/extending.md shows how a vendor is added: a file and a row.
"""

from repartee.providers.vendor import Account, Vendor, VendorKind, VendorSetting, not_empty
from repartee.providers.vendor_checks import answers, connects, speaks

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
ELEVENLABS = Account("elevenlabs", "ElevenLabs", "https://api.elevenlabs.io")

LLM_MODEL = VendorSetting(
    "REPARTEE_LLM_MODEL", "The language model, where the agent names none.", "gpt-6-luna", not_empty
)
REALTIME_MODEL = VendorSetting(
    "REPARTEE_REALTIME_MODEL",
    "The speech-to-speech model, where the agent names none.",
    "gpt-realtime-1.5",
    not_empty,
)


def _voice(account: Account, default: str) -> VendorSetting:
    described = f"{account.label}'s id of the voice, where neither the agent nor REPARTEE_VOICE names one."
    return VendorSetting(f"REPARTEE_VOICE_{account.name.upper()}", described, default, not_empty)


CARTESIA_VOICE = _voice(CARTESIA, "f786b574-daa5-4673-aa0c-cbe3e8534c02")
ELEVENLABS_VOICE = _voice(ELEVENLABS, "JBFqnCBsd6RMkjVDRZzb")

VENDORS: tuple[Vendor, ...] = (
    Vendor(
        "flux",
        STT,
        DEEPGRAM,
        f"{HERE}.deepgram:open_flux",
        connects,
        note="decides itself when a turn is over, and says early when it may be",
    ),
    Vendor(
        "nova",
        STT,
        DEEPGRAM,
        f"{HERE}.deepgram:open_nova",
        connects,
        note="writes down words; when a turn is over is this program's rule",
    ),
    Vendor(
        "openai",
        LLM,
        OPENAI,
        f"{HERE}.openai_chat:open_chat",
        answers,
        (LLM_MODEL,),
        model=LLM_MODEL.variable,
        note="chat completions, at OpenAI or any compatible server",
    ),
    Vendor(
        "cartesia",
        TTS,
        CARTESIA,
        f"{HERE}.cartesia:open_cartesia",
        speaks,
        (CARTESIA_VOICE,),
        voice=CARTESIA_VOICE.variable,
        note="one socket for all voices and languages",
    ),
    Vendor(
        "elevenlabs",
        TTS,
        ELEVENLABS,
        f"{HERE}.elevenlabs:open_elevenlabs",
        speaks,
        (ELEVENLABS_VOICE,),
        voice=ELEVENLABS_VOICE.variable,
        note="a socket for each voice and language",
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
    ),
)

USUAL = {STT: "flux", LLM: "openai", TTS: "cartesia", SPEECH_TO_SPEECH: "openai"}
"""The vendors that serve where no setting names others."""

ACCOUNTS: tuple[Account, ...] = tuple(dict.fromkeys(vendor.account for vendor in VENDORS))


def listed(kind: VendorKind, names: str) -> tuple[Vendor, ...]:
    """The vendors of a kind that a setting names, in its order. Raises ValueError."""
    known = {vendor.name: vendor for vendor in VENDORS if vendor.kind is kind}
    wanted = [name.strip() for name in (names or USUAL[kind]).split(",")]
    if not set(wanted) <= known.keys() or len(set(wanted)) < len(wanted):
        some = ", each once, with commas between them" if len(known) > 1 else ""
        raise ValueError(f"must be of {', '.join(known)}{some}")
    return tuple(known[name] for name in wanted)
