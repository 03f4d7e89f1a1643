"""Datagrams that no honest peer sends: random, cut short, changed, replayed, of each kind by their first byte."""

from collections.abc import Sequence
from random import Random

FIRST_BYTES = {
    "stun": (0, 3),
    "unknown": (4, 15),
    "zrtp": (16, 19),
    "dtls": (20, 63),
    "turn": (64, 79),
    "rtp": (128, 191),
}
WAYS = ("random", "truncated", "changed", "replayed")


def hostile_datagram(dice: Random, seen: Sequence[bytes], way: str = "") -> bytes:
    """One datagram; ``seen`` are honest ones. ``way`` is one of WAYS; empty: any."""
    way = way or (WAYS[dice.randrange(len(WAYS))] if seen else "random")
    if way == "random":
        low, high = FIRST_BYTES[list(FIRST_BYTES)[dice.randrange(len(FIRST_BYTES))]]
        size = dice.randrange(60) if dice.random() < 0.7 else dice.randrange(1_500)
        return bytes([low + dice.randrange(high - low + 1)]) + dice.randbytes(size)
    honest = seen[dice.randrange(len(seen))]
    if way == "truncated":
        return honest[: dice.randrange(len(honest)) + 1]
    if way == "changed":
        at = dice.randrange(len(honest))
        return honest[:at] + dice.randbytes(1) + honest[at + 1 :]
    return honest
