"""A simulator of Twilio's media streams that is none of ours (streamdouble) finds nothing to complain of."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from streamdouble.api import CallReport, call
from streamdouble.chaos import Impairments
from streamdouble.session import SessionConfig
from tests.promptness import measured
from tests.regional.app.running import TICKET_KEY, Region, region
from tests.regional.app.test_telephone import KEYS, handshake, path_of

from repartee.agent.agent import Agent
from repartee.wire.audio_format import AudioEncoder, WireFormat
from repartee_edge.tickets import TicketKeys, sign

SPEECH_MS, SILENCE_MS = 1_200, 5_000
TICKETED = re.compile(rb"GET (\S+) HTTP/1.1\r\n")


def caller_frames() -> list[bytes]:
    """Something said, and then the silence that a carrier goes on sending."""
    at = np.arange(24 * SPEECH_MS)
    tone = (8_000 * np.sin(at / 12)).astype("<i2").tobytes()
    encoder = AudioEncoder(WireFormat("audio/pcmu", 8_000), 24_000)
    audio = encoder.feed(tone + bytes(2 * 24 * SILENCE_MS)) + encoder.flush()
    return [audio[at : at + 160] for at in range(0, len(audio) - 159, 160)]


def any_calls_ticket() -> str:
    """A ticket that names no call: the simulator chooses its own id."""
    keys = TicketKeys(TICKET_KEY)
    return sign(keys, region="eu-west", subject="telephone", now=time.time(), metadata={"carrier": "twilio"})


@asynccontextmanager
async def signing(worker: Region) -> AsyncIterator[int]:
    """What signs handshakes as Twilio does, in front of a region: the simulator does not. Gives its port."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = path_of(given=any_calls_ticket())
        signed = "".join(f"{name}: {value}\r\n" for name, value in handshake("twilio", path).items())
        head = TICKETED.sub(b"GET " + path.encode() + b" HTTP/1.1\r\n" + signed.encode(), head)
        there, back = await asyncio.open_connection("127.0.0.1", worker.port)
        back.write(head)
        await asyncio.gather(pump(reader, back), pump(there, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def port(providers: dict[str, str]) -> AsyncIterator[int]:
    agent = Agent(instructions="Be kind.")
    settings = {**providers, **KEYS, "REPARTEE_WARM_CALLS": "10"}
    async with region(settings, agent=agent, allow_anonymous=False) as worker, signing(worker) as port:
        yield port
        await worker.until_idle()


async def placed(port: int, **options: object) -> CallReport:
    config = SessionConfig(quiet_period_s=2.0, **options)
    return await call(f"ws://127.0.0.1:{port}/", frames=caller_frames(), config=config)


@pytest.mark.parametrize("calls", [1, 40])
async def test_no_violations_no_stalls_and_every_mark(port: int, calls: int) -> None:
    machine = measured()
    reports = await asyncio.gather(*(placed(port) for _ in range(calls)))
    for report in reports:
        metrics = report.metrics
        assert report.violations == [] and metrics.unknown_events == []
    unanswered = [report for report in reports if not report.spoke or not report.metrics.marks_received]
    assert not unanswered, f"{len(unanswered)} of {calls} calls were not answered"
    marks = [(report.metrics.marks_echoed, report.metrics.marks_received) for report in reports]
    machine.promise(
        all(back == sent for back, sent in marks), f"marks that came back, of those sent: {marks}"
    )
    clears = sum(report.metrics.clears_received for report in reports)
    machine.promise(clears == 0, f"{clears} answers cut short at {calls} calls")
    stalls = [gap for report in reports for gap in report.metrics.stalls]
    machine.promise(not stalls, f"stalls of {stalls} ms at {calls} calls")


async def test_with_2_percent_lost_and_40_ms_of_jitter_every_turn_is_answered(port: int) -> None:
    network = Impairments(loss=0.02, jitter_ms=40)
    reports = await asyncio.gather(*(placed(port, impairments=network, chaos_seed=n) for n in range(8)))
    assert [report.violations for report in reports] == [[]] * 8
    assert [report.spoke for report in reports] == [True] * 8
