"""The real services answer: each of a cascade's stages, the doctor, and what turns will take.

What is said stays out of the output, as do keys and addresses.
"""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from tests.live.purse import Purse

from repartee.agent.agent import Agent
from repartee.app.settings import Settings, read_settings
from repartee.doctor.examination import examine
from repartee.doctor.stage_times import Placing, stage_times
from repartee.latency.prediction import PERCENTS, StageTimes, stages_ms, voice_to_voice
from repartee.providers.vendor import VendorKind

KINDS = (VendorKind.STT, VendorKind.LLM, VendorKind.TTS)
REQUESTS = 10


@pytest.fixture
async def settings() -> AsyncIterator[Settings]:
    found = read_settings()
    rows = [found.vendors(kind)[0] for kind in KINDS]
    missing = {row.account.key_variable for row in rows if not found.value_of(row.account.key_variable)}
    if missing:
        pytest.skip(f"not set: {', '.join(sorted(missing))}")
    yield found


async def test_the_doctor_finds_nothing_wrong(settings: Settings, purse: Purse) -> None:
    purse.spend(llm=1, tts=1, stt=1)
    found = await examine(os.environ, port=0)
    wrong = [finding.subject for finding in found if finding.fault and finding.subject != "port"]
    assert wrong == [], "run repartee doctor: it says what is wrong"


async def test_what_turns_take(settings: Settings, purse: Purse, figures: list[str]) -> None:
    """Recogniser, model and voice serve ten turns; the figures are those of `repartee doctor --latency`."""
    purse.spend(stt=REQUESTS, llm=REQUESTS + 2, tts=REQUESTS + 1)
    agent = Agent(instructions="You are the front desk of a clinic. Answer in one short sentence.")
    async with asyncio.timeout(300):
        times = await stage_times(settings, agent, Placing(REQUESTS, 2))
    assert isinstance(times, StageTimes)
    assert all(0 <= eager <= end for eager, end in times.ends)
    assert min(times.first_tokens) > 0
    assert min(times.sounds) > 0
    names = ", ".join(settings.vendors(kind)[0].traced for kind in KINDS)
    model = settings.value_of("REPARTEE_LLM_MODEL")
    figures.append(f"{names}, {model}: {REQUESTS} requests each, ms")
    for stage, took in {"voice to voice": voice_to_voice(times), **stages_ms(times)}.items():
        shares = ", ".join(f"{name.upper()} {took[name]:.0f}" for name in PERCENTS)
        figures.append(f"  {stage.replace('_', ' ')}: {shares}")
    figures.append(f"  spent so far: at most {purse.spent_usd:.2f} of {purse.cap_usd:.2f} USD")
