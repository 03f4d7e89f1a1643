"""A worker with other versions of the libraries it reaches into: calls go on, and a warning says what is lacking."""

import signal
from collections.abc import Mapping
from pathlib import Path

from tests.altered import altered
from tests.regional.app.running import calling, region_process, spoken_turn


async def output_of_a_call(environment: Mapping[str, str], other: Path) -> str:
    """Place a call at a worker that finds these packages first, and have it answered twice; what the worker wrote."""
    with region_process({**environment, "PYTHONPATH": str(other)}, "--allow-anonymous") as region:
        for _ in range(2):
            async with calling(f"{region.url}?audio=binary&events=repartee") as call:
                assert (await spoken_turn(call))[-1]["type"] == "repartee.turn.latency"
        region.signal(signal.SIGTERM)
        assert await region.exit_status() == 0
        assert region.process.stdout is not None
        return region.process.stdout.read()


async def test_without_the_insides_of_websockets(providers: dict[str, str], tmp_path: Path) -> None:
    renamed = {"process_event": "pass_event_on", "apply_mask": "mask_off"}
    output = await output_of_a_call(providers, altered(tmp_path, "websockets", renamed))
    assert output.count("has no function to take off a mask: each frame of a client goes through") == 1
    assert output.count("a task reads from each connection to a provider") == 1
    assert output.count("WARNING") == 2


async def test_with_the_versions_that_are_installed_nothing_is_lacking(
    providers: dict[str, str], tmp_path: Path
) -> None:
    assert "WARNING" not in await output_of_a_call(providers, tmp_path)
