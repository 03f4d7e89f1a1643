"""What can be switched off to see what it buys, and the worker's settings that do so. Pure."""

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Technique(StrEnum):
    """What makes answers fast."""

    speculation = "speculation"
    warm_pools = "warm-pools"
    first_chunk = "first-chunk"
    hedging = "hedging"
    phrases = "phrases"


WITHOUT: Mapping[Technique, Mapping[str, str]] = {
    Technique.speculation: {"REPARTEE_SPECULATE": "0"},
    Technique.warm_pools: {"REPARTEE_WARM_CALLS": "0"},
    Technique.first_chunk: {"REPARTEE_FIRST_CLAUSE_CHARS": "40"},
    Technique.hedging: {"REPARTEE_HEDGE": "0"},
    Technique.phrases: {"REPARTEE_RECORD_PHRASES": "0"},
}
"""The worker's environment without each."""


def without_env(techniques: Iterable[Technique]) -> dict[str, str]:
    """The worker's environment without all of these."""
    return {name: value for technique in techniques for name, value in WITHOUT[technique].items()}
