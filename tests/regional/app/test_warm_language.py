"""An agent that speaks another language than English has as warm a first call: nothing is dialled for it."""

import pytest
from tests.regional.app.running import calling, region, spoken_turn

from repartee.agent.agent import Agent


@pytest.mark.parametrize("stt", ["flux", "nova"])
@pytest.mark.parametrize("language", ["en", "de", "pt-BR"])
async def test_the_first_call_leases_what_is_there(
    providers: dict[str, str], language: str, stt: str
) -> None:
    agent = Agent(instructions="Be kind.", language=language)
    async with region({**providers, "REPARTEE_STT": stt}, agent=agent) as worker:
        before = await worker.metrics()
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            await spoken_turn(websocket)
        after = await worker.metrics()
    for provider in ("deepgram", "openai", "cartesia"):
        hits, misses = (f'repartee_pool_{what}_total{{provider="{provider}"}}' for what in ("hits", "misses"))
        assert after[hits] > before[hits]
        assert after[misses] == before[misses]
