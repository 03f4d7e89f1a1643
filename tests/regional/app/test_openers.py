"""What replies like to begin with is recorded when a worker starts, and played from memory: no voice is asked."""

import json
from pathlib import Path

import pytest
from tests.regional.app.running import Region, calling, region, spoken_turn, until

from repartee.standins.server import Running, StandInSettings, serve
from repartee.turn.languages import ENGLISH


def requests(provider: Running) -> int:
    """How often the voice has been asked to speak."""
    return provider.state.stats.of("cartesia").requests


async def all_recorded(worker: Region) -> None:
    resources = worker.worker.services.resources
    assert resources is not None
    phrases = resources.phrases
    await until(lambda: all(phrases.get(each, name=None, language="en") for each in ENGLISH.openers))


@pytest.mark.parametrize(
    ("reply", "asked"),
    [("Of course.", 0), ("Let me check.", 0), ("It is open.", 1), ("Of course. It is open.", 1)],
)
async def test_an_opener_recorded_at_boot_costs_no_request_to_the_voice(
    reply: str, asked: int, tmp_path: Path
) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"utterances": [{"say": "Can you help me?", "reply": reply}]}))
    async with (
        serve(StandInSettings(profile="instant", light=True, script=script)) as provider,
        region(provider.environment()) as worker,
    ):
        await all_recorded(worker)
        assert requests(provider) >= len(ENGLISH.openers)
        before = requests(provider)
        async with calling(f"{worker.url}?audio=binary&events=repartee") as call:
            await spoken_turn(call)  # until something of it was heard
        assert requests(provider) - before == asked
