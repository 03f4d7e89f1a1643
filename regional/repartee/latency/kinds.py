"""Kinds of turns, and what each may take.

A turn that waits for a tool takes as long as the tool does: counted among the others it would hide them. So each
kind has percentiles of its own. The budget is for turns that the agent can answer at once, and for those whose tool
had run before it was asked for. One that waits for a tool is held to its first sound (a filler, or the answer), and
to what it adds beyond the tool. An apology is no answer.
"""

from collections.abc import Mapping
from typing import Literal, get_args

TurnKind = Literal["plain", "hit", "tool", "apology"]
"""``plain``: answered by the model alone; ``hit``: with the result of a tool that had run ahead; ``tool``: the answer
waited for a tool's result; ``apology``: the caller heard an apology in place of an answer."""

ANSWERED_AT_ONCE: frozenset[str] = frozenset({"plain", "hit"})
"""The kinds that the budget holds."""

KINDS: tuple[TurnKind, ...] = get_args(TurnKind)

AUDIBLE_KINDS: tuple[TurnKind, ...] = ("plain", "hit", "tool")
"""Those whose answer was audible: an apology is none."""

BUDGET_MS = 500.0
"""What an answer may take, from the caller's last sample of speech to its first audible one, at P90."""

FIRST_SOUND_BUDGET_MS = 500.0
"""When a caller who waits for a tool has heard something."""

ADDED_BUDGET_MS = 1_000.0
"""What a turn with a tool may take beyond the tool: the model is asked twice, so it is two answers' worth."""


def kind_of(stages_ms: Mapping[str, float], prefetch: str | None) -> TurnKind:
    """The kind of a turn whose answer is audible. One that waited for a tool counts as that, whatever else was
    prefetched."""
    if "tool" in stages_ms:
        return "tool"
    return "hit" if prefetch == "hit" else "plain"


def added_ms(voice_to_voice_ms: float, stages_ms: Mapping[str, float]) -> float:
    """What a turn took beyond its tools."""
    return voice_to_voice_ms - stages_ms.get("tool", 0.0)


def first_sound_ms(voice_to_voice_ms: float, filler_ms: float | None) -> float:
    """When the caller heard something."""
    return voice_to_voice_ms if filler_ms is None else min(filler_ms, voice_to_voice_ms)


def over_budget(
    kind: TurnKind, voice_to_voice_ms: float, stages_ms: Mapping[str, float], filler_ms: float | None
) -> bool:
    """Whether an audible answer took longer than its kind may. An apology has no budget: it is unanswered."""
    if kind == "apology":
        return False
    if kind != "tool":
        return voice_to_voice_ms > BUDGET_MS
    late = first_sound_ms(voice_to_voice_ms, filler_ms) > FIRST_SOUND_BUDGET_MS
    return late or added_ms(voice_to_voice_ms, stages_ms) > ADDED_BUDGET_MS
