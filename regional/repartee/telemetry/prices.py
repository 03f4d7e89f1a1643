"""What a call costs, from a price table that the operator edits. Pure.

A table is JSON: for each stage the vendors' prices, by the names that traces have for them; ``*`` is any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from repartee.errors import ConfigurationError

MILLION = 1_000_000.0


class VendorUse(msgspec.Struct):
    """What was used of one vendor in a call. ``estimated``: of the tokens, as many as no server has counted;
    ``audio_…``: as many are sound, and not text."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    estimated_tokens: int = 0
    characters: int = 0
    seconds: float = 0.0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vendor's prices, in the table's currency: for a minute of audio, for a million of tokens or characters."""

    minute: float = 0.0
    million_input_tokens: float = 0.0
    million_cached_tokens: float | None = None
    million_output_tokens: float = 0.0
    million_input_audio_tokens: float | None = None
    million_output_audio_tokens: float | None = None
    million_characters: float = 0.0

    def of(self, use: VendorUse) -> float:
        """What this costs. Cached tokens, and those of sound, cost what others do, unless they have a price."""
        cached = (
            self.million_input_tokens if self.million_cached_tokens is None else self.million_cached_tokens
        )
        tokens = (
            (use.input_tokens - use.cached_tokens) * self.million_input_tokens
            + use.cached_tokens * cached
            + use.output_tokens * self.million_output_tokens
            + _more(use.audio_input_tokens, self.million_input_audio_tokens, self.million_input_tokens)
            + _more(use.audio_output_tokens, self.million_output_audio_tokens, self.million_output_tokens)
        )
        return use.seconds / 60 * self.minute + (tokens + use.characters * self.million_characters) / MILLION


def _more(tokens: int, price: float | None, of_text: float) -> float:
    """What tokens of sound cost beyond what they would cost as text."""
    return 0.0 if price is None else tokens * (price - of_text)


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    currency: str = "USD"
    stt: Mapping[str, Price] = {}
    llm: Mapping[str, Price] = {}
    tts: Mapping[str, Price] = {}
    model: Mapping[str, Price] = {}


Uses = Mapping[tuple[str, str], VendorUse]
"""By stage (``stt``, ``llm``, ``tts``, ``model``) and vendor."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The operator's prices, by stage and vendor."""

    currency: str = "USD"
    prices: Mapping[str, Mapping[str, Price]] = field(default_factory=dict)

    def of(self, stage: str, vendor: str) -> Price | None:
        """A vendor's price, if it has one."""
        known = self.prices.get(stage, {})
        return known.get(vendor) or known.get("*")

    def cost(self, uses: Uses) -> tuple[float | None, list[str]]:
        """What this costs (None: nothing has a price), and the ``stage vendor`` of what has none."""
        total, priced, unpriced = 0.0, False, []
        for (stage, vendor), use in uses.items():
            price = self.of(stage, vendor)
            if price is None:
                unpriced.append(f"{stage} {vendor}")
            else:
                total, priced = total + price.of(use), True
        return (round(total, 6) if priced else None), unpriced


def read_prices(text: str) -> PriceTable:
    """A table from its JSON; an empty text has no prices. Raises ConfigurationError that says where it is wrong."""
    if not text.strip():
        return PriceTable()
    try:
        table = msgspec.json.decode(text, type=_Table)
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"is no price table: {error}") from None
    stages = {"stt": table.stt, "llm": table.llm, "tts": table.tts, "model": table.model}
    faults = [
        f"{stage}.{vendor}: {name} must not be less than 0"
        for stage, prices in stages.items()
        for vendor, price in prices.items()
        for name, value in msgspec.structs.asdict(price).items()
        if value is not None and value < 0
    ]
    if faults:
        raise ConfigurationError("; ".join(faults))
    return PriceTable(table.currency, stages)
