"""What a telephone call costs in bytes to the recogniser, as its stand-in counts them."""

import pytest
from tests.regional.telephone.system import telephone_system, until

from repartee.agent.agent import Agent

FRAMES = 150
"""Of the caller, 20 ms each."""

HOUR_FRAMES = 50 * 3_600


@pytest.mark.parametrize(("narrow", "mb_an_hour"), [("true", 28.8), ("false", 172.8)])
@pytest.mark.parametrize("stt", ["flux", "ink-2"])
async def test_an_hour_of_mu_law_is_29_mb_to_the_recogniser_where_it_was_173(
    stt: str, narrow: str, mb_an_hour: float
) -> None:
    agent = Agent(instructions="Be kind.", greeting="Good day, and welcome to our telephone line.")
    own = {"REPARTEE_TELEPHONE_NARROW_HEARING": narrow, "REPARTEE_STT": stt}
    async with telephone_system(agent, environment=own) as system, system.calling("twilio") as (_, call):
        counts = system.stats.of("deepgram" if stt == "flux" else "cartesia-stt")
        figures = call.streams[0].figures
        await until(lambda: counts.audio_bytes_in > 8_000)
        bytes_before, frames_before = counts.audio_bytes_in, figures.frames_sent
        await until(lambda: figures.frames_sent - frames_before >= FRAMES)
        sent, frames = counts.audio_bytes_in - bytes_before, figures.frames_sent - frames_before
        assert sent / frames * HOUR_FRAMES / 1e6 == pytest.approx(mb_an_hour, rel=0.1)
