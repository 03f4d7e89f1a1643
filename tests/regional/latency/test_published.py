"""What others have published: figures with sources, in the profiles and the documentation as in the code."""

import math
import re
from pathlib import Path

import pytest

from repartee.app.settings import Settings
from repartee.latency.published import BUDGET_LLM_MS, FIGURES, figures_of
from repartee.standins.profiles import Lognormal, load_profile, profile_names

ROOT = Path(__file__).parents[3]
DEFAULT = str(Settings.model_fields["llm_model"].default)
PROFILES = {
    "published-gpt-4.1-mini": "gpt-4.1-mini",
    f"published-{DEFAULT}": DEFAULT,
    "published-gpt-oss-120b-groq": "gpt-oss-120b at Groq",
}
P95 = 1.6448536269514722
"""Standard deviations to the 95th percentile."""


@pytest.mark.parametrize("name", PROFILES)
def test_a_published_profile_has_the_published_percentiles_and_its_sources(name: str) -> None:
    profile = load_profile(name)
    [figure] = [one for one in FIGURES if one.model == PROFILES[name]]
    first = profile.llm.ttft_ms
    assert isinstance(first, Lognormal)
    assert first.median == figure.p50_ms
    assert first.median * math.exp(P95 * first.sigma) == pytest.approx(figure.p95_ms, rel=0.001)
    assert profile.stt.end_of_turn_ms.middle == figures_of("stt")[1].p50_ms
    assert profile.tts.ttfb_ms.middle == next(o.p50_ms for o in FIGURES if o.model == "Cartesia sonic-3.5")
    assert any("https://github.com/kwindla/aiewf-eval" in source for source in profile.sources)
    assert len(profile.sources) >= 3


def test_those_are_all() -> None:
    assert {name for name in profile_names() if name.startswith("published-")} == PROFILES.keys()


def test_each_figure_has_a_source_and_the_default_is_marked() -> None:
    assert all(one.source for one in FIGURES)
    assert "the default" in next(one for one in FIGURES if one.model == DEFAULT).note


def test_the_documentation_has_every_figure() -> None:
    text = (ROOT / "docs" / "latency.md").read_text(encoding="utf-8")
    rows = {
        cells[0]: cells[1:] for cells in re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| ([^|]+?) \|", text, re.M)
    }
    for one in FIGURES:
        assert rows[one.model][0] == f"{one.p50_ms:,.0f}", one.model
        assert rows[one.model][1] == ("–" if one.p95_ms is None else f"{one.p95_ms:,.0f}"), one.model


def test_the_readme_says_which_models_leave_room_for_half_a_second() -> None:
    """In one sentence, that agrees with the figures."""
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    [sentence] = re.findall(r"Half a second with real providers .*?\(P50", text)
    do, _, do_not = sentence.partition(";")
    assert f"first token takes {BUDGET_LLM_MS:.0f} ms or less" in do
    for one in figures_of("llm"):
        model = one.model.split(" (")[0].split(" at ")[0]
        if one.p50_ms <= BUDGET_LLM_MS:
            assert model in do, model
        if one.model == DEFAULT:
            assert f"{model} among them, which takes {one.p50_ms:.0f} ms" in do_not
