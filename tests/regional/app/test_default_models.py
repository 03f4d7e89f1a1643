"""No model that is asked by default is about to be shut down."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from openai.types.realtime import audio_transcription, realtime_session_create_request
from openai.types.shared import chat_model

from repartee.app.settings import Settings
from repartee.providers.cartesia import CartesiaSettings
from repartee.providers.openai_realtime import RealtimeSettings
from repartee.session.relay import RelayResources

ENDS = {
    "gpt-4.1-nano": "2026-10-23",
    "gpt-5": "2026-12-11",
    "gpt-5-mini": "2026-12-11",
    "gpt-5-nano": "2026-12-11",
    "gpt-4.1": "2027-01-14",
    "gpt-4.1-mini": "2027-01-14",
    "gpt-4o": "2027-01-14",
    "gpt-4o-mini": "2027-01-14",
    "gpt-realtime": "2027-01-20",
    "gpt-realtime-mini": "2027-01-20",
    "gpt-audio-mini": "2027-01-20",
    "whisper-1": "2027-02-26",
    "gpt-4o-transcribe": "2027-02-26",
    "gpt-4o-mini-transcribe": "2027-02-26",
    "gpt-5.1": "2027-04-01",
    "gpt-5.4-nano": "2027-04-01",
}
"""Ends that OpenAI had announced on 26 November 2026."""

ROOT = Path(__file__).parents[3]
SHIPPED = ("README.md", "docs", "regional", "edge", "infra", "terraform", "tools", "wrangler.toml")
MAY_NAME_THEM = (
    "docs/decisions/",
    "docs/latency.md",
    "regional/repartee/latency/published.py",
    "regional/repartee/standins/",
)
"""Why others are the defaults now, what was published of them, and servers that serve what their clients ask for."""


def default_of(kind: type[Any], name: str) -> str:
    [field] = [field for field in fields(kind) if field.name == name]
    assert field.default is not MISSING
    return str(field.default)


DEFAULTS = {
    "REPARTEE_LLM_MODEL": str(Settings.model_fields["llm_model"].default),
    "REPARTEE_REALTIME_MODEL": str(Settings.model_fields["realtime_model"].default),
    "REPARTEE_REALTIME_TRANSCRIBER": str(Settings.model_fields["realtime_transcriber"].default),
    "RealtimeSettings": default_of(RealtimeSettings, "model"),
    "RelayResources": default_of(RelayResources, "transcriber"),
    "CartesiaSettings": default_of(CartesiaSettings, "model"),
}


def ends_in_the_sdk() -> dict[str, str]:
    """What the installed SDK lists as deprecated, by model: its date."""
    found: dict[str, str] = {}
    for module in (chat_model, audio_transcription, realtime_session_create_request):
        text = re.sub(r"\s+", " ", inspect.getsource(module))
        for names, date in re.findall(r"- ((?:\"[^\"]+\",? ?)+): Announced shutdown date: ([\d-]+)", text):
            found |= dict.fromkeys(re.findall(r'"([^"]+)"', names), date)
    return found


@pytest.mark.parametrize("setting", DEFAULTS)
def test_no_default_has_an_end_that_is_announced(setting: str) -> None:
    model = DEFAULTS[setting]
    assert ENDS.get(model) is None
    assert ends_in_the_sdk().get(model) is None


def test_the_sdk_lists_the_ends_that_we_know() -> None:
    """Or else the comparison above would compare with nothing."""
    listed = ends_in_the_sdk()
    assert {model: listed[model] for model in ENDS if model in listed} == {
        model: date for model, date in ENDS.items() if model in listed
    }
    assert {"gpt-4.1-mini", "gpt-realtime", "gpt-4o-mini-transcribe"} <= listed.keys()


def test_the_defaults_in_code_are_those_of_the_settings() -> None:
    assert DEFAULTS["RealtimeSettings"] == DEFAULTS["REPARTEE_REALTIME_MODEL"]
    assert DEFAULTS["RelayResources"] == DEFAULTS["REPARTEE_REALTIME_TRANSCRIBER"]


def shipped() -> Iterator[Path]:
    """The text files that users get, but for those that may name a model that ends."""
    for name in SHIPPED:
        for path in [ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*"):
            where = path.relative_to(ROOT).as_posix()
            hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
            known = path.suffix in {
                ".py",
                ".md",
                ".json",
                ".toml",
                ".yaml",
                ".yml",
                ".tf",
                ".tfvars",
                ".html",
                ".js",
            }
            if path.is_file() and known and not hidden and not where.startswith(MAY_NAME_THEM):
                yield path


def test_nothing_that_is_shipped_asks_for_a_model_that_ends() -> None:
    """``gpt-realtime`` alone is the family's name as well, so there only a model that is asked for counts."""
    names = "|".join(
        re.escape(name) for name in sorted(ENDS, key=len, reverse=True) if name != "gpt-realtime"
    )
    asked = re.compile(rf"""(?<![\w.-])(?:{names})(?![\w.-])|model\W{{1,4}}gpt-realtime(?![\w.-])""")
    named = {path.relative_to(ROOT).as_posix(): asked.findall(path.read_text()) for path in shipped()}
    assert {path: models for path, models in named.items() if models} == {}
    assert {"infra/peers/pipecat_agent.py", "docs/agents.md"} <= named.keys()


def test_the_peer_is_asked_what_the_worker_asks() -> None:
    """`repartee bench peers` compares like with like."""
    peer = (ROOT / "infra" / "peers" / "pipecat_agent.py").read_text()
    assert f'MODEL, REASONING = "{DEFAULTS["REPARTEE_LLM_MODEL"]}", {{"reasoning_effort": "none"}}' in peer
