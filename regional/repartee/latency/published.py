"""What others have published of how fast models, recognisers and voices are: figures, each with its source. Pure.

Looked up on 26 November 2026. They were measured on other machines, at other hours and with other prompts than yours;
`repartee doctor --latency` measures yours.
"""

from dataclasses import dataclass

AIEWF = "aiewf-eval, https://github.com/kwindla/aiewf-eval (time to the first usable token)"
CLAIM = "the vendor's own claim"
MEASURED = "measured by others than the vendor"

BUDGET_LLM_MS = 200.0
"""A first token later than this leaves no room for half a second."""


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """One model's, in ms; ``p95_ms`` None: nobody says. ``lives``: no end of it is announced."""

    stage: str
    model: str
    p50_ms: float
    p95_ms: float | None
    source: str
    note: str = ""
    lives: bool = True


FIGURES: tuple[PublishedFigure, ...] = (
    PublishedFigure("llm", "gpt-oss-120b at Groq", 98, 217, AIEWF),
    PublishedFigure(
        "llm", "qwen3.8-27b (NVFP4) on one RTX 5090", 101, 318, AIEWF, "your own machine, no network"
    ),
    PublishedFigure("llm", "muse-glimmer", 231, 1_752, AIEWF),
    PublishedFigure("llm", "gpt-4.1", 536, 1_771, AIEWF, "ends 14 January 2027", lives=False),
    PublishedFigure("llm", "gpt-4o", 546, 1_369, AIEWF, "ends 14 January 2027", lives=False),
    PublishedFigure("llm", "claude-haiku-4-5", 637, 1_615, AIEWF),
    PublishedFigure("llm", "gpt-5.6-luna", 671, 2_304, AIEWF, "without reasoning; the default"),
    PublishedFigure("llm", "gpt-4.1-mini", 851, 2_135, AIEWF, "ends 14 January 2027", lives=False),
    PublishedFigure("stt", "Deepgram nova-3", 247, 298, MEASURED, "final words after speech"),
    PublishedFigure("stt", "Deepgram Flux", 260, None, CLAIM, "end of turn; the default"),
    PublishedFigure("stt", "AssemblyAI 3.5", 282, 354, MEASURED, "final words after speech"),
    PublishedFigure("stt", "Cartesia ink-2", 299, 328, MEASURED, "final words after speech"),
    PublishedFigure("tts", "ElevenLabs Flash v2.5", 75, None, CLAIM, "first audio"),
    PublishedFigure("tts", "Cartesia sonic-3.5", 82, None, CLAIM, "first audio; the default"),
    PublishedFigure("tts", "ElevenLabs v4 Turbo", 138, None, MEASURED, "first audio"),
)


def figures_of(stage: str) -> tuple[PublishedFigure, ...]:
    """Of one stage (``stt``, ``llm`` or ``tts``), the quickest first."""
    return tuple(sorted((one for one in FIGURES if one.stage == stage), key=lambda one: one.p50_ms))
