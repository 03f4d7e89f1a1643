"""Recordings of calls through a worker: what is in them, where they are kept, and that no call notices them."""

import asyncio
import base64
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.regional.app.running import (
    TICKET_KEY,
    Region,
    calling,
    region,
    region_process,
    speech,
    spoken_turn,
    until,
)
from tests.regional.audio.test_ogg import packets_of
from tests.regional.store.bucket import BUCKET, KEY_ID, REGION, SECRET, serving_bucket
from websockets.asyncio.client import ClientConnection

from repartee.agent.agent import Agent
from repartee.app.call_audio import recorder
from repartee.app.call_audio.audio_files import WAV_HEAD
from repartee.transport.webrtc.libraries import opus_file
from repartee_edge.tickets import TicketKeys, sign

from tests.regional.app.test_call_records import calls  # isort: skip

NOTICE = "This call is being recorded."


def settings(tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        "REPARTEE_RECORDINGS": str(tmp_path / "kept"),
        "REPARTEE_RECORDING_FORMAT": "wav",
        "REPARTEE_RECORDING_SPOOL": str(tmp_path / "spool"),
        "REPARTEE_STORE_FILE": str(tmp_path / "store.sqlite3"),
        **more,
    }


def kept_in(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "kept").rglob("*") if path.suffix in (".wav", ".ogg"))


def lanes(file: Path) -> tuple[bytes, bytes]:
    """The caller's and the agent's, as PCM16."""
    data = file.read_bytes()
    head = WAV_HEAD.unpack_from(data)
    assert head[-1] == len(data) - WAV_HEAD.size
    both = np.frombuffer(data, "<i2", offset=WAV_HEAD.size).reshape(-1, 2)
    return both[:, 0].tobytes(), both[:, 1].tobytes()


def sounding(lane: bytes) -> bytes:
    """All but its silence, which a machine that is busy makes longer."""
    samples = np.frombuffer(lane, "<i2")
    loud: bytes = samples[samples != 0].tobytes()
    return loud


def is_end_of(lane: bytes, said: bytes) -> bool:
    """All that was said is there; a frame that had come before the recording began may be missing."""
    return len(sounding(lane)) > 0.8 * len(said) and sounding(said).endswith(sounding(lane))


async def recorded(tmp_path: Path) -> Path:
    await until(lambda: kept_in(tmp_path))
    [file] = kept_in(tmp_path)
    return file


async def test_the_caller_is_left_and_the_agent_right_once_the_client_was_sent_that_it_is_recorded(
    providers: dict[str, str], tmp_path: Path
) -> None:
    sent: list[Any] = []
    async with region(
        {**providers, **settings(tmp_path)}, agent=Agent("Be kind.", record="signalled")
    ) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            await websocket.send(json.dumps({"type": "input_audio_buffer.clear"}))
            async for frame in websocket:
                sent.append(frame)
                if isinstance(frame, str) and "repartee.recording.started" in frame:
                    break
            assert not any(isinstance(frame, bytes) for frame in sent), "it comes before all sound"
            turn = asyncio.create_task(collected(websocket, sent))
            await speak(websocket)
            await turn
            await asyncio.sleep(0.3)
        file = await recorded(tmp_path)
        pid = worker.worker.recorder.pid if worker.worker.recorder else None
        assert pid not in (None, os.getpid())
    caller, agent = lanes(file)
    assert is_end_of(caller, speech(400))
    heard = b"".join(frame for frame in sent if isinstance(frame, bytes))
    assert len(sounding(agent)) > 4_000
    assert sounding(agent) in sounding(heard), "what was played, cut where the call ended"


async def speak(websocket: ClientConnection) -> None:
    """A caller's turn, in the time it takes."""
    audio = speech(400) + bytes(48 * 800)
    for start in range(0, len(audio), 960):
        await websocket.send(audio[start : start + 960])
        await asyncio.sleep(0.02)


async def collected(websocket: ClientConnection, sent: list[Any]) -> None:
    async for frame in websocket:
        sent.append(frame)
        if isinstance(frame, str) and json.loads(frame)["type"] == "response.done":
            return


async def test_the_caller_hears_that_it_is_recorded_and_the_recording_begins_after_that(
    providers: dict[str, str], tmp_path: Path
) -> None:
    agent = Agent("Be kind.", greeting="Good morning to you.", record="spoken")
    said: dict[str, str] = {}
    audio: dict[str, bytes] = {}
    async with region({**providers, **settings(tmp_path)}, agent=agent) as worker:
        async with calling(worker.url) as websocket:
            async for frame in websocket:
                event = json.loads(frame)
                if event["type"] == "response.output_audio.delta":
                    of = event["response_id"]
                    audio[of] = audio.get(of, b"") + base64.b64decode(event["delta"])
                if event["type"] == "response.output_audio_transcript.done":
                    said[event["response_id"]] = event["transcript"]
                if event["type"] == "response.done" and len(said) == 2:
                    break
            await asyncio.sleep(sum(map(len, audio.values())) / 48_000)
        file = await recorded(tmp_path)
    (_, notice), (second, greeting) = said.items()
    assert (notice, greeting) == (NOTICE, "Good morning to you.")
    _, agent_lane = lanes(file)
    assert agent_lane.startswith(audio[second][: 48 * 300])
    assert len(sounding(agent_lane)) <= len(sounding(audio[second]))


@pytest.mark.parametrize(
    ("agent", "place"),
    [
        (Agent("Be kind."), "kept"),
        (Agent("Be kind.", record="signalled"), ""),
        (Agent("Be kind.", record="signalled"), "untold"),
    ],
    ids=["the agent does not ask", "the deployment has no place", "the client takes no such event"],
)
async def test_nothing_is_recorded_unless_agent_and_deployment_want_it_and_the_client_knows(
    providers: dict[str, str], tmp_path: Path, agent: Agent, place: str
) -> None:
    more = {} if place else {"REPARTEE_RECORDINGS": ""}
    async with region({**providers, **settings(tmp_path, **more)}, agent=agent) as worker:
        async with calling(
            f"{worker.url}?audio=binary{'&events=repartee' if place != 'untold' else ''}"
        ) as websocket:
            if place == "untold":
                await speak(websocket)
            else:
                await spoken_turn(websocket)
        await worker.until_idle()
    assert not [path for folder in ("kept", "spool") for path in (tmp_path / folder).rglob("*.*")]


@asynccontextmanager
async def one_turn(environment: dict[str, str]) -> AsyncIterator[Region]:
    """A recorded call of one turn has just ended."""
    async with region(environment, agent=Agent("Be kind.", record="signalled")) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            await spoken_turn(websocket)
        await worker.until_idle()
        yield worker


async def test_operators_are_given_the_recording_whole_or_in_part_and_nobody_else_is(
    providers: dict[str, str], tmp_path: Path
) -> None:
    locked = {"REPARTEE_TICKET_KEY": TICKET_KEY, "REPARTEE_DASHBOARD_KEY": "for-operators-" * 3}
    agent = Agent("Be kind.", record="signalled")
    environment = {**providers, **settings(tmp_path), **locked}
    options = {"additional_headers": {"X-Repartee-Ticket": ticket_of("anna")}}
    async with region(environment, agent=agent, allow_anonymous=False) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee", **options) as websocket:
            await spoken_turn(websocket)
        file = await recorded(tmp_path)
        address = f"{worker.http}/v1/calls/{file.stem}/recording"
        async with httpx.AsyncClient() as client:
            assert (await client.get(address)).status_code == 401
            caller = {"authorization": f"Bearer {ticket_of('anna')}"}
            assert (await client.get(address, headers=caller)).status_code == 401
            key = {"authorization": f"Bearer {locked['REPARTEE_DASHBOARD_KEY']}"}
            whole = await client.get(address, headers=key)
            part = await client.get(address, headers={**key, "range": "bytes=4-9"})
            rest = await client.get(address, headers={**key, "range": "bytes=-6"})
            beyond = await client.get(address, headers={**key, "range": "bytes=999999999-"})
            other = await client.get(address.replace(file.stem, "nobody"), headers=key)
    data = file.read_bytes()
    assert (whole.status_code, whole.content) == (200, data)
    assert whole.headers["content-type"] == "audio/wav"
    assert (part.status_code, part.content) == (206, data[4:10])
    assert part.headers["content-range"] == f"bytes 4-9/{len(data)}"
    assert rest.content == data[-6:]
    assert (beyond.status_code, other.status_code) == (416, 404)


def ticket_of(caller: str) -> str:
    return sign(TicketKeys(TICKET_KEY), region="local", subject=caller, now=time.time())


@pytest.mark.skipif(opus_file() is None, reason="libopus is not installed")
async def test_opus_is_kept_in_a_bucket_by_signed_requests_however_often_it_fails(
    providers: dict[str, str], tmp_path: Path
) -> None:
    with serving_bucket() as bucket:
        bucket.failures = 1
        place = {
            "REPARTEE_RECORDINGS": f"s3://{BUCKET}/eu",
            "REPARTEE_RECORDING_FORMAT": "opus",
            "REPARTEE_S3_ENDPOINT": bucket.url,
            "REPARTEE_S3_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        async with one_turn({**providers, **settings(tmp_path, **place)}):
            await until(lambda: bucket.files)
        [(name, data)] = bucket.files.items()
        assert bucket.refused == []
    assert name.startswith("eu/20")
    assert bucket.types[name] == "audio/ogg"
    stream = data[:]
    serial = stream[14:18]
    packets, granule = packets_of(stream, serial=int.from_bytes(serial, "little"))
    assert granule == (len(packets) - 2) * 960
    assert len(packets) > 20
    assert not list((tmp_path / "spool").iterdir())


async def test_an_encoder_that_stands_still_costs_a_gap_and_a_line_and_no_call(
    providers: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(recorder, "MOST_WAITING_BYTES", 10_000)
    async with region(
        {**providers, **settings(tmp_path)}, agent=Agent("Be kind.", record="signalled")
    ) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            await spoken_turn(websocket)
            pid = worker.worker.recorder.pid if worker.worker.recorder else None
            assert pid
            os.kill(pid, signal.SIGSTOP)
            try:
                async with asyncio.timeout(30):
                    while "leaving a gap" not in caplog.text:
                        await spoken_turn(websocket)
                await spoken_turn(websocket)
            finally:
                os.kill(pid, signal.SIGCONT)
        await recorded(tmp_path)


async def test_a_worker_that_is_killed_leaves_the_recording_and_erasing_its_caller_takes_it(
    providers: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "recorded.py").write_text(
        'from repartee import Agent\n\nagent = Agent("Be kind.", record="signalled")\n'
    )
    environment = {**providers, **settings(tmp_path), "REPARTEE_TICKET_KEY": TICKET_KEY}
    with region_process(environment, "--agent", str(tmp_path / "recorded.py")) as worker:
        options = {"additional_headers": {"X-Repartee-Ticket": ticket_of("anna")}}
        async with calling(f"{worker.url}?audio=binary&events=repartee", **options) as websocket:
            await spoken_turn(websocket)
            await asyncio.sleep(0.5)
            worker.signal(signal.SIGKILL)
            await worker.exit_status()
    file = await recorded(tmp_path)
    caller, agent = lanes(file)
    assert is_end_of(caller, speech(400))
    assert sounding(agent)
    told = await calls(environment, "erase", "--caller", "anna")
    assert "1 of recorded files" in told
    assert kept_in(tmp_path) == []
