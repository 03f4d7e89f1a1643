"""Calls through a worker leave records, in both databases, and `repartee calls` reads them."""

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.contract.webrtc_caller import calling_by_webrtc
from tests.promptness import DEADLINE_S
from tests.regional.app import test_telephone as carriers
from tests.regional.app.running import (
    TICKET_KEY,
    calling,
    region,
    region_process,
    spoken_turn,
    until,
)
from tests.regional.store.cluster import Cluster
from typer.testing import CliRunner
from websockets.asyncio.client import ClientConnection

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext
from repartee.agent.said import Said
from repartee.cli.main import application
from repartee.errors import VoiceError
from repartee_edge.tickets import TicketKeys, sign

runner = CliRunner()


def run(environment: dict[str, str], *words: str) -> str:
    """What `repartee calls` prints; raises what it raises."""
    result = runner.invoke(
        application(["calls", words[0]]), ["calls", *words], env=environment, catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.output


async def calls(environment: dict[str, str], *words: str) -> str:
    """The same, beside a running loop."""
    return await asyncio.to_thread(run, environment, *words)


async def listed(environment: dict[str, str], tmp_path: Path, *words: str) -> list[dict[str, Any]]:
    await calls(environment, "list", "--json", str(tmp_path / "list.json"), *words)
    found: list[dict[str, Any]] = json.loads((tmp_path / "list.json").read_text())["calls"]
    return found


async def shown(environment: dict[str, str], tmp_path: Path, call_id: str) -> dict[str, Any]:
    await calls(environment, "show", call_id, "--json", str(tmp_path / "call.json"))
    found: dict[str, Any] = json.loads((tmp_path / "call.json").read_text())
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Where calls are kept, as settings."""
    if request.param == "sqlite":
        return {"REPARTEE_STORE_FILE": str(tmp_path / "store.sqlite3")}
    server: Cluster = request.getfixturevalue("postgresql")
    return {"DATABASE_URL": server.new_database()}


def ticket(subject: str) -> str:
    return sign(TicketKeys(TICKET_KEY), region="local", subject=subject, now=time.time())


async def place(url: str, caller: str, turns: int = 1) -> None:
    """A call of this caller's, with so many turns."""
    async with calling(
        f"{url}?audio=binary&events=repartee", additional_headers={"X-Repartee-Ticket": ticket(caller)}
    ) as websocket:
        for _ in range(turns):
            await spoken_turn(websocket)


async def test_a_call_is_listed_shown_exported_and_erased(
    providers: dict[str, str], kept: dict[str, str], tmp_path: Path
) -> None:
    environment = {**providers, **kept, "REPARTEE_TICKET_KEY": TICKET_KEY, "REPARTEE_RECORDS": "words"}
    async with region(environment, allow_anonymous=False) as worker:
        await place(worker.url, "anna", turns=2)
        await place(worker.url, "tom")
        await worker.until_idle()
    newest, oldest = await listed(kept, tmp_path)
    assert (newest["caller"], oldest["caller"]) == ("tom", "anna")
    expected = {"agent": "plain", "transport": "websocket", "region": "local", "turns": 2, "ended": "ended"}
    assert {name: oldest[name] for name in expected} == expected
    assert oldest["seconds"] > 0
    assert len(oldest["version"]) == 12
    assert {"call_id", "started_at", "cost"} <= oldest.keys()
    assert [call["caller"] for call in await listed(kept, tmp_path, "--caller", "tom", "--since", "1h")] == [
        "tom"
    ]

    record = await shown(kept, tmp_path, oldest["call_id"])
    turns = [entry for entry in record["timeline"] if entry["event"] == "turn"]
    assert [turn["turn_id"] for turn in turns] == [1, 2]
    for turn in turns:
        assert sum(turn["stages_ms"].values()) == pytest.approx(turn["voice_to_voice_ms"], abs=1)
        assert {"stt", "llm", "tts"} == set(turn["providers"])
    assert {entry["who"] for entry in record["timeline"] if entry["event"] == "said"} == {"caller", "agent"}
    assert "agent: " in await calls(kept, "show", oldest["call_id"])

    await calls(kept, "export", "--out", str(tmp_path / "all.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [line["call_id"] for line in lines] == [newest["call_id"], oldest["call_id"]]
    assert lines[1] == record

    assert "of calls" in await calls(kept, "erase", "--caller", "anna")
    assert [call["caller"] for call in await listed(kept, tmp_path)] == ["tom"]
    with pytest.raises(VoiceError, match=r"No call .* is kept here"):
        await calls(kept, "show", oldest["call_id"])
    assert "Nothing is kept of anna" in await calls(kept, "erase", "--caller", "anna")


async def test_a_call_over_each_transport_leaves_one_record(
    providers: dict[str, str], kept: dict[str, str], tmp_path: Path
) -> None:
    agent = Agent("Be kind.", greeting="Good day.")
    async with region({**providers, **kept, **carriers.KEYS}, agent=agent) as worker:
        async with calling(worker.url) as websocket:
            await websocket.recv()
        async with calling_by_webrtc(worker.http):
            pass
        async with carriers.streaming(worker) as stream:
            await carriers.begin(stream)
            await stream.recv()
        await worker.until_idle()
    found = await listed(kept, tmp_path)
    assert sorted(call["transport"] for call in found) == ["telephone", "webrtc", "websocket"]
    assert {call["transport"]: call["caller"] for call in found}["telephone"] == "+15550100"


async def test_two_workers_with_one_database_have_one_list(
    providers: dict[str, str], postgresql: Cluster, tmp_path: Path
) -> None:
    kept = {"DATABASE_URL": postgresql.new_database()}
    regions = ["eu-west", "us-east"]
    async with AsyncExitStack() as running:
        for name in regions:
            settings = {**providers, **kept, "REPARTEE_REGION": name}
            worker = await running.enter_async_context(region(settings))
            async with calling(worker.url) as websocket:
                await websocket.recv()
            await worker.until_idle()
    assert sorted(call["region"] for call in await listed(kept, tmp_path)) == regions


async def test_what_a_client_reports_of_its_side_is_in_the_record(
    providers: dict[str, str], tmp_path: Path
) -> None:
    kept = {"REPARTEE_STORE_FILE": str(tmp_path / "store.sqlite3")}
    stages = {"capture": 25.0, "network": 80.5, "playback": 40.0}
    async with region({**providers, **kept}) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            turn = (await spoken_turn(websocket))[-1]["turn_id"]
            for turn_id, of_it in [(turn + 5, stages), (turn, stages), (turn, {**stages, "network": 1.0})]:
                report = {"type": "repartee.turn.heard", "turn_id": turn_id, "stages_ms": of_it}
                await websocket.send(json.dumps(report))
            await websocket.send(json.dumps({"type": "repartee.turn.heard", "turn_id": turn}))
            async with asyncio.timeout(DEADLINE_S):
                while json.loads(await text_of(websocket))["type"] != "error":
                    pass
        await worker.until_idle()
    [call] = await listed(kept, tmp_path)
    record = await shown(kept, tmp_path, call["call_id"])
    [heard] = [entry for entry in record["timeline"] if entry["event"] == "heard"]
    assert heard["turn_id"] == turn
    assert {name: heard[f"{name}_ms"] for name in stages} == stages, "the first report of a turn counts"


async def text_of(websocket: ClientConnection) -> str:
    """The next event."""
    while not isinstance(frame := await websocket.recv(), str):
        pass
    return frame


@pytest.mark.parametrize("mode", ["", "figures", "words", "off"])
async def test_words_are_kept_in_the_mode_words_only(
    providers: dict[str, str], tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "store.sqlite3"
    told: list[tuple[Said, ...]] = []
    agent = Agent("Be kind.")

    @agent.on_call_end
    async def note(ctx: CallContext) -> None:
        told.append(tuple(ctx.transcript))

    kept = {"REPARTEE_STORE_FILE": str(file)}
    with caplog.at_level("DEBUG", logger="repartee"):
        async with region({**providers, **kept, "REPARTEE_RECORDS": mode}, agent=agent) as worker:
            async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
                await spoken_turn(websocket)
                await heard_out(websocket)
            await worker.until_idle()
    [transcript] = told
    assert {said.who for said in transcript} == {"caller", "agent"}, "the hook has it in every mode"
    in_store = contents(tmp_path)
    for said in transcript:
        assert (said.text.encode() in in_store) is (mode == "words")
        assert said.text not in caplog.text
    assert len(await listed(kept, tmp_path)) == (0 if mode == "off" else 1)


async def test_a_worker_that_is_killed_leaves_the_call_and_its_finished_turns(
    providers: dict[str, str], kept: dict[str, str], tmp_path: Path
) -> None:
    environment = {**providers, **kept, "REPARTEE_RECORDS": "words"}
    with region_process(environment, "--allow-anonymous") as worker:
        await until(lambda: _is_ready(worker.http))
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            for _ in range(2):
                await spoken_turn(websocket)
            async with asyncio.timeout(DEADLINE_S):
                while [call["turns"] for call in await listed(kept, tmp_path)] != [2]:
                    await spoken_turn(websocket)
            worker.signal(signal.SIGKILL)
            await worker.exit_status()
    [call] = await listed(kept, tmp_path)
    assert call["ended"] == "in progress", "until nothing has been written of it for 90 s"
    timeline = (await shown(kept, tmp_path, call["call_id"]))["timeline"]
    assert [entry["turn_id"] for entry in timeline if entry["event"] == "turn"] == [1, 2]
    with region_process(environment, "--allow-anonymous"):
        assert [one["call_id"] for one in await listed(kept, tmp_path)] == [call["call_id"]]


async def heard_out(websocket: ClientConnection) -> None:
    """The answer has been played to its end."""
    length = 0
    async for frame in websocket:
        if isinstance(frame, bytes):
            length += len(frame)
        elif json.loads(frame)["type"] == "response.done":
            break
    await asyncio.sleep(length / 48_000)


def contents(folder: Path) -> bytes:
    """Of all the store's files."""
    return b"".join(path.read_bytes() for path in folder.glob("store.sqlite3*"))


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def test_where_nothing_is_kept_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match="No calls are kept here"):
        run({"XDG_STATE_HOME": str(tmp_path), "REPARTEE_STORE_FILE": "", "DATABASE_URL": ""}, "list")


@pytest.mark.parametrize("since", ["yesterday", "5", "-1h"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, since: str) -> None:
    with pytest.raises(VoiceError, match="is no time"):
        run({"REPARTEE_STORE_FILE": str(tmp_path / "x.sqlite3")}, "list", "--since", since)
