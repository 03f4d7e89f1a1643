"""A real Prometheus reads a worker's metrics, and promtool has nothing to say against them."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.programs import PROMETHEUS, program
from tests.promptness import DEADLINE_S
from tests.regional.app.running import calling, region, spoken_turn


async def test_promtool_finds_nothing_wrong_with_a_workers_metrics(providers: dict[str, str]) -> None:
    promtool = program("promtool", PROMETHEUS)
    async with region(providers) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            await spoken_turn(websocket)
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"{worker.http}/metrics")).content
    done = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


@contextmanager
def scraping(address: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Prometheus, reading a worker's metrics every 0.2 s: its own address, and its log."""
    prometheus = program("prometheus", PROMETHEUS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    target = {"targets": [address.removeprefix("http://")], "labels": {"region": "local"}}
    wanted = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
        "scrape_configs": [{"job_name": "repartee", "static_configs": [target]}],
    }
    (folder / "prometheus.json").write_text(json.dumps(wanted))  # JSON is YAML
    log = folder / "prometheus.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={folder}/prometheus.json",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=out,
            stderr=out,
        )
        try:
            yield f"http://127.0.0.1:{port}", log
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


async def test_prometheus_scrapes_a_worker_without_a_warning(
    providers: dict[str, str], tmp_path: Path
) -> None:
    async with region(providers) as worker:
        with scraping(worker.http, tmp_path) as (address, log):
            async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
                await spoken_turn(websocket)
            async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(base_url=address) as client:
                turns = 0.0
                while turns < 1:
                    await asyncio.sleep(0.1)
                    turns = await _value(client, "sum(repartee_voice_to_voice_seconds_count)")
                targets = (await client.get("/api/v1/targets")).json()["data"]["activeTargets"]
                known = (await client.get("/api/v1/metadata")).json()["data"]
            told = log.read_text().splitlines()
    assert [(one["health"], one["lastError"]) for one in targets] == [("up", "")]
    ours = {name: about for name, about in known.items() if name.startswith("repartee_")}
    assert len(ours) > 20
    assert all(about[0]["help"] and about[0]["type"] != "unknown" for about in ours.values())
    troubled = [line for line in told if "level=warn" in line or "level=error" in line]
    assert troubled == []


async def _value(client: httpx.AsyncClient, query: str) -> float:
    try:
        answer: dict[str, Any] = (await client.get("/api/v1/query", params={"query": query})).json()
    except httpx.HTTPError:
        return 0.0  # it is starting
    found = answer.get("data", {}).get("result", [])
    return float(found[0]["value"][1]) if found else 0.0
