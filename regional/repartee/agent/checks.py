"""What an agent's declaration must fulfil, beside its tools' signatures and its predictions. Returns sentences."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, Protocol

from repartee.agent.limits import Limits
from repartee.agent.notices import MAX_CHARS, Notices
from repartee.providers.interfaces import LLM, STT, TTS
from repartee.relay.settings import is_speech_to_speech

FILLER_CHARS = 120
"""A filler is a phrase, not a speech: the answer waits until it has been said."""

MAX_TIMEOUT_S = 600.0

MAX_FILLER_AFTER_MS = 8_000.0
"""A caller who waits hears something within eight seconds."""

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*|multi")


class Declared(Protocol):
    """The parts of an agent that are checked."""

    instructions: str
    voice: str | None
    greeting: str | None
    language: str
    model: str | None
    max_tokens: int
    temperature: float | None
    keyterms: Sequence[str]
    limits: Limits
    notices: Notices
    backchannels: Collection[str] | None
    spoken_style: str | None
    voice_text: Literal["spoken", "raw"]
    idle_s: float | None
    filler_after_ms: float
    stt: Callable[[], STT] | None
    llm: Callable[[], LLM] | None
    tts: Callable[[], TTS] | None
    name: str | None
    suggestions: Sequence[str]
    record: Literal["spoken", "signalled"] | None


def tool_faults(name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> list[str]:
    """What is wrong with a tool's function and options, its signature apart."""
    faults = _sync_faults(f"tool {name!r}", function)
    for filler in options["fillers"]:
        if not isinstance(filler, str) or not filler.strip():
            faults.append(f"tool {name!r} has an empty filler. Leave it out, or write what is to be said.")
        elif len(filler) > FILLER_CHARS:
            faults.append(
                f"tool {name!r} has a filler of {len(filler)} characters; keep it under {FILLER_CHARS}."
            )
    timeout_s = options["timeout_s"]
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s <= MAX_TIMEOUT_S:
        faults.append(f"tool {name!r}: timeout_s must be between 0 and {MAX_TIMEOUT_S:g}, not {timeout_s!r}.")
    if options["read_only"] and options["repeatable"]:
        faults.append(f"tool {name!r} is read_only, so repeatable means nothing. Leave one of them out.")
    return faults


def _sync_faults(what: str, function: Callable[..., Any]) -> list[str]:
    if inspect.isasyncgenfunction(function):
        return [f"{what} is a generator. Return the result instead of yielding it."]
    if inspect.isfunction(function) and inspect.iscoroutinefunction(function):
        return []
    return [
        f"{what} is not an async function, so it would block every call of the worker. Write `async def`, and "
        "`await asyncio.to_thread(...)` around what blocks."
    ]


def hook_faults(
    kind: str, function: Callable[..., Any], *, generator: bool, takes: str = "the context"
) -> list[str]:
    """What is wrong with a hook, or with the agent's own way to reply. ``takes`` names its arguments."""
    if generator and not inspect.isasyncgenfunction(function):
        return ["@agent.reply needs an async generator: `async def` with `yield` in it."]
    faults = [] if generator else _sync_faults(f"@agent.{kind}", function)
    try:
        inspect.signature(function).bind(*(object() for _ in takes.split(" and ")))
    except TypeError:
        number = "two arguments" if " and " in takes else "one argument"
        faults.append(f"@agent.{kind} is called with {number}, {takes}.")
    return faults


def agent_faults(agent: Declared) -> list[str]:
    """What is wrong with the arguments of ``Agent(...)``, its predictions apart."""
    faults = []
    if not isinstance(agent.instructions, str) or not agent.instructions.strip():
        faults.append("instructions are empty. Say in a few sentences who the agent is and what it does.")
    for name in ("greeting", "voice", "model", "name"):
        value = getattr(agent, name)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            faults.append(f"{name} must be a text or None, not {value!r}.")
    if not isinstance(agent.language, str) or not _LANGUAGE.fullmatch(agent.language):
        faults.append(f"language must be a code like 'en' or 'de-CH', or 'multi', not {agent.language!r}.")
    if not isinstance(agent.max_tokens, int) or not 1 <= agent.max_tokens <= 4096:
        faults.append(f"max_tokens must be between 1 and 4096, not {agent.max_tokens!r}.")
    temperature = agent.temperature
    if temperature is not None and not (isinstance(temperature, int | float) and 0 <= temperature <= 2):
        faults.append(f"temperature must be between 0 and 2, not {temperature!r}.")
    terms = agent.keyterms
    if isinstance(terms, str) or not all(isinstance(term, str) and term.strip() for term in terms):
        faults.append("keyterms must be a list of words, e.g. keyterms=['Repartee'].")
    offered = agent.suggestions
    if isinstance(offered, str) or not all(isinstance(text, str) and text.strip() for text in offered):
        faults.append("suggestions must be a list of texts, e.g. suggestions=['Is there parking?'].")
    faults += _own_faults(agent)
    faults += _manner_faults(agent.backchannels, agent.spoken_style, agent.idle_s)
    faults += _filler_faults(agent.filler_after_ms)
    if agent.record not in (None, "spoken", "signalled"):
        faults.append(f"record must be 'spoken', 'signalled' or None, not {agent.record!r}.")
    if agent.record == "spoken" and agent.notices.recorded == "":
        faults.append("record='spoken' needs notices.recorded: the caller must hear it.")
    if agent.voice_text not in ("spoken", "raw"):
        faults.append(f"voice_text must be 'spoken' or 'raw', not {agent.voice_text!r}.")
    return faults + _limit_faults(agent.limits) + _notice_faults(agent.notices)


def unused(agent: Declared, model: str, *, replies: bool, sums_up: bool) -> dict[str, str]:
    """The parts of an agent that a speech-to-speech model does not use, by name, each with the reason. ``replies``:
    it has ``@agent.reply``; ``sums_up``: it has ``@agent.summary``."""
    found = {"@agent.reply": f"{model} makes its own replies"} if replies else {}
    if sums_up:
        found["@agent.summary"] = f"{model} keeps its own conversation"
    if agent.temperature is not None:
        found["temperature"] = f"{model} takes none"
    options = ("reasoning_effort", "service_tier", "extra_body", "voice_options")
    found |= {name: f"{model} takes none" for name in options if getattr(agent, name)}
    if agent.voice_text == "raw":
        found["voice_text"] = f"{model} speaks itself, and is given no text to say"
    return found


def never_used(agent: Declared, *, replies: bool, sums_up: bool) -> list[str]:
    """The same, if the agent's own model is one of those: then nothing would ever use them."""
    if not is_speech_to_speech(agent.model):
        return []
    found = unused(agent, str(agent.model), replies=replies, sums_up=sums_up)
    return [f"{name} would never be used: {why}. Use one of the two." for name, why in found.items()]


def used_in_part(agent: Declared, model: str) -> dict[str, str]:
    """The parts of an agent that such a model uses only in part, by name, each with what it does."""
    if agent.backchannels is None:
        return {}
    heard = "falls silent for whatever it hears, before any word is known"
    return {"backchannels": f"{model} {heard}; they only leave the wait for a tool alone"}


def _own_faults(agent: Declared) -> list[str]:
    faults = []
    for stage in ("stt", "llm", "tts"):
        own = getattr(agent, stage)
        if own is not None and not callable(own):
            faults.append(f"{stage} must be what makes one, e.g. its class, not {type(own).__name__}.")
        elif own is not None and is_speech_to_speech(agent.model):
            faults.append(
                f"{stage} would never be used: {agent.model} hears and speaks itself. Use one of the two."
            )
    return faults


def _manner_faults(backchannels: object, style: object, idle_s: object) -> list[str]:
    faults = []
    words = list(backchannels) if isinstance(backchannels, Collection) else [None]
    if backchannels is not None and (
        isinstance(backchannels, str) or not all(isinstance(word, str) for word in words)
    ):
        faults.append("backchannels must be a list of words, e.g. backchannels=['mhm', 'okay'].")
    if style is not None and not isinstance(style, str):
        faults.append(f"spoken_style must be a text or None, not {style!r}.")
    if idle_s is not None and not (isinstance(idle_s, int | float) and idle_s >= 1):
        faults.append(f"idle_s must be None or a number of seconds from 1 on, not {idle_s!r}.")
    return faults


def _filler_faults(after_ms: object) -> list[str]:
    if isinstance(after_ms, int | float) and 0 <= after_ms <= MAX_FILLER_AFTER_MS:
        return []
    return [f"filler_after_ms must be a number of ms from 0 to {MAX_FILLER_AFTER_MS:g}, not {after_ms!r}."]


def _notice_faults(notices: object) -> list[str]:
    if not isinstance(notices, Notices):
        return ["notices must be Notices(...)."]
    return [
        f"notices: {name} must be a text of at most {MAX_CHARS} characters, not {value!r}."
        for name, value in asdict(notices).items()
        if value is not None and (not isinstance(value, str) or len(value) > MAX_CHARS)
    ]


def _limit_faults(limits: object) -> list[str]:
    if not isinstance(limits, Limits):
        return ["limits must be Limits(...)."]
    return [
        f"limits: {name} must be above 0, not {value!r}."
        for name, value in asdict(limits).items()
        if not isinstance(value, int | float) or value <= 0
    ]
