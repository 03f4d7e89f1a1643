"""What the live tests may spend: an estimate of each request, from above, and where it ends."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

USD = {"llm": 0.002, "stt": 0.004, "tts": 0.003}
"""The most that one request of ours costs, by stage: 600 tokens in and 200 out of a small model, half a minute of
recognition, a hundred characters of speech; list prices of November 2026, doubled."""

CAP_USD = 1.0
VARIABLE = "LIVE_TESTS_USD"


@dataclass(slots=True)
class Purse:
    """Money for one run."""

    cap_usd: float
    spent_usd: float = 0.0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Purse":
        return cls(float(environment.get(VARIABLE) or CAP_USD))

    def spend(self, **requests: int) -> None:
        """So many requests of each stage are about to be made; skips the test if there is no money left for them."""
        cost = sum(USD[stage] * count for stage, count in requests.items())
        if self.spent_usd + cost > self.cap_usd + 1e-9:
            pytest.skip(
                f"the spending cap is reached: {self.spent_usd:.2f} of {self.cap_usd:.2f} USD are spent, and this "
                f"test may cost {cost:.2f} more ({VARIABLE} raises it)"
            )
        self.spent_usd += cost
