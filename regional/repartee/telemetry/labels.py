"""Labels of series: bounded in number, whatever agents and vendors there are."""

from collections.abc import Mapping

from repartee.telemetry.events import TurnOver

MOST_LABELS = 50
"""Agents, and vendors, with series of their own; further ones count as ``other``."""

OTHER = "other"

SERVED_BY: Mapping[str, str] = {"end_of_turn": "stt", "llm": "llm", "model": "model", "tts": "tts"}
"""Which vendor's a stage is, by the vendor's own stage; others are the worker's."""


def capped(label: str, known: set[str], most: int = MOST_LABELS) -> str:
    """The label, unless ``known`` has as many others as it may; it is known from then on. An empty one counts for
    none."""
    if label and label not in known:
        if len(known) >= most:
            return OTHER
        known.add(label)
    return label


def vendor_of(turn: TurnOver, stage: str) -> str:
    """Whose a stage of this turn is; empty for what is the worker's own."""
    return turn.providers.get(SERVED_BY.get(stage, ""), "")
