"""Faults on request, as the providers' SDKs see them; and the endpoints that put them and tell what happened."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import openai as sdk
import pytest
from cartesia import AsyncCartesia
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from openai import AsyncOpenAI
from tests.promptness import DEADLINE_S
from websockets.exceptions import ConnectionClosedError

from repartee.standins.faults import Fault, FaultBoard, FaultError, FaultGate, parse_fault, parse_fault_text
from repartee.standins.server import Running

FLUX: dict[str, Any] = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": 16000}
ASKED: dict[str, Any] = {"model": "stand-in", "messages": [{"role": "user", "content": "Where are you?"}]}
Deepgram = Callable[..., AsyncDeepgramClient]
OpenAI = Callable[..., AbstractAsyncContextManager[AsyncOpenAI]]
Cartesia = Callable[..., AbstractAsyncContextManager[AsyncCartesia]]


async def put(running: Running, *faults: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=running.base_url) as client:
        (await client.post("/standins/faults", json=list(faults))).raise_for_status()


async def stats(running: Running) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=running.base_url) as client:
        found: dict[str, Any] = (await client.get("/standins/stats")).json()
        return found


def test_a_board_skips_counts_and_looks_at_the_provider() -> None:
    board = FaultBoard()
    board.put(Fault("close", "cartesia", count=2, skip=1))
    assert board.take("deepgram") is None
    taken = [board.take("cartesia") for _ in range(4)]
    assert [fault.kind if fault else None for fault in taken] == [None, "close", "close", None]
    assert board.waiting == []
    assert board.struck == 2


def test_a_gate_waits_for_messages_and_time() -> None:
    gate = FaultGate(Fault("drop", after_messages=2, after_ms=100), started_s=10.0)
    assert [gate.strikes(now) for now in (10.2, 10.2, 10.2, 10.2)] == [False, False, True, False]
    assert not FaultGate(Fault("drop", after_ms=100), started_s=10.0).strikes(10.05)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("explode", "kind"),
        ("close; code=1", "code"),
        ("close; after_messages=two", "after_messages"),
        ("close; code", "key=value"),
        ("close; colour=1", "colour"),
    ],
)
def test_wrong_descriptions_are_named(text: str, complaint: str) -> None:
    with pytest.raises(FaultError, match=complaint):
        parse_fault_text(text)


def test_a_description_in_text_and_json_is_the_same() -> None:
    text = parse_fault_text("close; after_messages=3; code=1012; reason=restart; after_ms=20.5")
    document = {"kind": "close", "after_messages": 3, "code": 1012, "reason": "restart", "after_ms": 20.5}
    assert text == parse_fault(document)


@pytest.mark.parametrize(("kind", "status"), [("bad_key", 401), ("rate_limited", 429), ("server_error", 500)])
async def test_refusals_at_every_door(
    running: Running, deepgram: Deepgram, openai: OpenAI, cartesia: Cartesia, kind: str, status: int
) -> None:
    await put(running, *({"kind": kind, "provider": name} for name in ("deepgram", "openai", "cartesia")))
    with pytest.raises(ApiError) as heard:
        async with deepgram(running).listen.v2.connect(**FLUX):
            pass
    assert heard.value.status_code == status
    async with openai(running) as client:
        with pytest.raises(sdk.APIStatusError) as thought:
            await client.chat.completions.create(**ASKED)
        assert thought.value.status_code == status
        assert ("retry-after" in thought.value.response.headers) is (status == 429)
        await client.chat.completions.create(**ASKED)
    async with cartesia(running) as speaker:
        with pytest.raises(Exception, match=str(status)):
            await speaker.tts.websocket_connect().enter()
    assert (await stats(running))["faults_struck"] == 3


@pytest.mark.parametrize("kind", ["close", "drop", "error"])
async def test_a_flux_socket_breaks_in_mid_turn(running: Running, deepgram: Deepgram, kind: str) -> None:
    header = {"additional_headers": {"x-standins-fault": f"{kind}; after_messages=1; code=1012"}}
    async with deepgram(running).listen.v2.connect(**FLUX, request_options=header) as socket:
        messages = []
        with pytest.raises((ConnectionClosedError, AssertionError)):
            async with asyncio.timeout(DEADLINE_S):
                for _ in range(40):
                    await socket.send_media(b"\x40\x40" * 3200)
                async for message in socket:
                    messages.append(message)
                    assert message.type != "Error"
    assert messages[0].type == "Connected"
    assert (messages[-1].type == "Error") is (kind == "error")


async def test_a_silent_socket_answers_pings_and_a_half_open_one_does_not(
    running: Running, deepgram: Deepgram
) -> None:
    answered: list[bool] = []
    for kind in ("silent", "half_open"):
        await put(running, {"kind": kind, "provider": "deepgram", "after_messages": 1})
        with contextlib.suppress(ConnectionClosedError):
            async with deepgram(running).listen.v2.connect(**FLUX) as socket:
                assert (await socket.recv()).type == "Connected"
                await socket.send_media(b"\x40\x40" * 6400 + bytes(32000))
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.15):
                        await socket.recv()
                pong = await socket._websocket.ping()
                done, _ = await asyncio.wait([pong], timeout=0.15)
                answered.append(bool(done))
                socket._websocket.transport.abort()
    assert answered == [True, False]


async def test_a_malformed_message_reaches_the_client(running: Running, deepgram: Deepgram) -> None:
    await put(running, {"kind": "malformed", "provider": "deepgram"})
    async with deepgram(running).listen.v2.connect(**FLUX) as socket:
        with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
            await socket.recv()


async def test_a_connection_that_hangs(running: Running, openai: OpenAI) -> None:
    await put(running, {"kind": "hang_at_connect", "provider": "openai"})
    async with openai(running) as client:
        with pytest.raises(sdk.APITimeoutError):
            await client.chat.completions.create(**ASKED, timeout=0.2)


@pytest.mark.parametrize("kind", ["drop", "close", "malformed", "error"])
async def test_a_completion_breaks_in_mid_stream(running: Running, openai: OpenAI, kind: str) -> None:
    header = {"x-standins-fault": f"{kind}; after_messages=3"}
    async with openai(running) as client:
        stream = await client.chat.completions.create(**ASKED, stream=True, extra_headers=header)
        reasons: list[str | None] = []
        failed = False
        try:
            async for chunk in stream:
                reasons += [choice.finish_reason for choice in chunk.choices]
        except (sdk.APIError, httpx.HTTPError, ValueError, OSError):
            failed = True
        except Exception as error:
            failed = type(error).__name__ in ("RemoteProtocolError", "ReadError")
    assert reasons == [None] * 3
    assert failed is (kind != "close")


async def test_a_slow_first_token(running: Running, openai: OpenAI) -> None:
    loop = asyncio.get_running_loop()
    async with openai(running) as client:
        started = loop.time()
        header = {"x-standins-fault": "slow_first_token; delay_ms=200"}
        await client.chat.completions.create(**ASKED, extra_headers=header)
        assert loop.time() - started >= 0.198


async def test_a_context_is_refused_for_concurrency(running: Running, cartesia: Cartesia) -> None:
    await put(running, {"kind": "error", "provider": "cartesia", "status": 429})
    async with cartesia(running) as client:
        connection = await client.tts.websocket_connect().enter()
        message: Any = {
            "context_id": "c",
            "model_id": "sonic-3",
            "transcript": "Hello.",
            "voice": {"mode": "id", "id": "v"},
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
        }
        await connection.send(message)
        async with asyncio.timeout(DEADLINE_S):
            error: Any = await connection.recv()
        await connection.close()
    assert (error.type, error.status_code, error.error_code, error.context_id) == (
        "error", 429, "concurrency_limited", "c",
    )  # fmt: skip


async def test_control_endpoints(running: Running) -> None:
    async with httpx.AsyncClient(base_url=running.base_url) as client:
        profile = (await client.get("/standins/profile")).json()
        assert (profile["name"], profile["light"]) == ("instant", True)
        assert profile["floor_ms"]["flux"] == 100
        wrong = await client.post("/standins/faults", json={"kind": "explode"})
        assert wrong.status_code == 400
        assert "kind" in wrong.json()["error"]
        assert (await client.post("/standins/faults", content=b"{")).status_code == 400
        await client.post("/standins/faults", json={"kind": "drop"})
        assert len((await client.get("/standins/faults")).json()["waiting"]) == 1
        await client.post("/standins/reset")
        assert (await client.get("/standins/faults")).json()["waiting"] == []
        assert (await client.get("/standins/nothing")).status_code == 404
        assert (await client.get("/healthz")).json()["status"] == "ok"
