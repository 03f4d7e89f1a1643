"""Deepgram's stand-in through Deepgram's own SDK, over a real socket, in the light mode."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from tests.promptness import DEADLINE_S

from repartee.standins import flux, nova
from repartee.standins.faults import Fault
from repartee.standins.pcm import from_linear16
from repartee.standins.server import Running, StandInSettings, serve
from repartee.standins.synthesiser import hum

Client = Callable[..., AsyncDeepgramClient]
FLUX = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": 16000}
NOVA = {
    "model": "nova-3",
    "encoding": "linear16",
    "sample_rate": 16000,
    "interim_results": "true",
    "endpointing": 100,
}
SPEECH = hum("a" * 12, 16_000).pcm[: 640 * 35]
QUIET = bytes(640)


async def say(socket: Any, speech: bytes = SPEECH, quiet_frames: int = 10, frame_bytes: int = 640) -> None:
    """Speech and then silence. Sent at once: recognition's clock is the audio itself."""
    for at in range(0, len(speech), frame_bytes):
        await socket.send_media(speech[at : at + frame_bytes])
    for _ in range(quiet_frames):
        await socket.send_media(QUIET[:frame_bytes])


async def read(socket: Any) -> AsyncIterator[Any]:
    async with asyncio.timeout(DEADLINE_S):
        async for message in socket:
            yield message


async def read_until(socket: Any, kind: str) -> list[Any]:
    """All messages up to the first of this type or event."""
    found = []
    async for message in read(socket):
        found.append(message)
        if kind in (getattr(message, "event", None), getattr(message, "type", None)):
            return found
    raise AssertionError(f"closed before {kind}: {found}")


async def test_a_flux_turn(running: Running, deepgram: Client) -> None:
    async with deepgram(running).listen.v2.connect(**FLUX, eager_eot_threshold=0.5) as socket:
        await say(socket)
        messages = await read_until(socket, "EndOfTurn")
    events = [message.event for message in messages[1:]]
    assert messages[0].type == "Connected"
    assert events[0] == "StartOfTurn"
    assert set(events[1:-2]) == {"Update"}
    assert events[-2:] == ["EagerEndOfTurn", "EndOfTurn"]
    eager, end = messages[-2:]
    assert end.transcript == eager.transcript == "Hello, can you hear me?"
    assert [word.word for word in end.words] == ["Hello,", "can", "you", "hear", "me?"]
    assert end.trigger == "model"
    assert end.end_of_turn_confidence >= 0.7 > eager.end_of_turn_confidence >= 0.5
    assert [message.sequence_id for message in messages] == list(range(len(messages)))
    assert eager.audio_window_start == 0
    assert end.audio_window_end == pytest.approx(0.7 + 0.1)


async def test_flux_utterances_follow_the_script(running: Running, deepgram: Client) -> None:
    async with deepgram(running).listen.v2.connect(**FLUX) as socket:
        await say(socket)
        assert "EagerEndOfTurn" not in [
            getattr(m, "event", "") for m in await read_until(socket, "EndOfTurn")
        ]
        await say(socket)
        second = (await read_until(socket, "EndOfTurn"))[-1]
    assert second.transcript == "What are your opening hours?"
    assert second.turn_index == 1


async def test_flux_resumes(running: Running, deepgram: Client) -> None:
    async with deepgram(running).listen.v2.connect(**FLUX, eager_eot_threshold=0.4) as socket:
        await say(socket, quiet_frames=4)
        await say(socket)
        events = [m.event for m in (await read_until(socket, "EndOfTurn"))[1:] if m.event != "Update"]
    assert events == ["StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn", "EndOfTurn"]


@pytest.mark.parametrize(("encoding", "rate_hz"), [("mulaw", 8000), ("alaw", 8000), ("linear16", 48000)])
async def test_flux_hears_other_encodings(
    running: Running, deepgram: Client, encoding: str, rate_hz: int
) -> None:
    pcm = hum("a" * 12, rate_hz).pcm + bytes(rate_hz)
    raw = {"mulaw": "pcm_mulaw", "alaw": "pcm_alaw", "linear16": "pcm_s16le"}[encoding]
    settings = FLUX | {"encoding": encoding, "sample_rate": rate_hz}
    async with deepgram(running).listen.v2.connect(**settings) as socket:
        await socket.send_media(from_linear16(pcm, raw))
        end = (await read_until(socket, "EndOfTurn"))[-1]
    assert end.transcript == "Hello, can you hear me?"


async def test_flux_configure_force_and_close(running: Running, deepgram: Client) -> None:
    async with deepgram(running).listen.v2.connect(**FLUX) as socket:
        await socket.send_configure({"type": "Configure", "thresholds": {"eager_eot_threshold": 0.6}})
        done = (await read_until(socket, "ConfigureSuccess"))[-1]
        assert done.thresholds.eager_eot_threshold == 0.6
        await socket.send_configure({"type": "Configure", "thresholds": {"eot_timeout_ms": 1}})
        assert "eot_timeout_ms" in (await read_until(socket, "ConfigureFailure"))[-1].description
        await say(socket, quiet_frames=0)
        await socket.send_force_end_turn()
        assert (await read_until(socket, "EndOfTurn"))[-1].trigger == "manual"
        await socket.send_close_stream()
        assert [message async for message in read(socket)] == []
    assert running.state.stats.of("deepgram").active == 0


@pytest.mark.parametrize(("eager", "eot"), [(0.3, 0.6), (0.5, 0.7), (0.6, 0.85)])
async def test_flux_honours_its_thresholds(
    running: Running, deepgram: Client, eager: float, eot: float
) -> None:
    """Of the profile's 60 and 100 ms of silence, at 0.5 and 0.7: a line through the two."""
    settings = FLUX | {"eager_eot_threshold": eager, "eot_threshold": eot}
    async with deepgram(running).listen.v2.connect(**settings) as socket:
        await say(socket, quiet_frames=30)
        messages = await read_until(socket, "EndOfTurn")
    ends = {message.event: message.audio_window_end for message in messages[1:]}
    expected = {
        "EagerEndOfTurn": {0.3: 40, 0.5: 60, 0.6: 80}[eager],
        "EndOfTurn": {0.6: 80, 0.7: 100, 0.85: 140}[eot],
    }
    for event, silence_ms in expected.items():
        assert ends[event] == pytest.approx(0.7 + silence_ms / 1000)


async def test_fluxs_turns_begin_and_seem_to_end_with_words(running: Running, deepgram: Client) -> None:
    async with deepgram(running).listen.v2.connect(**FLUX, eager_eot_threshold=0.5) as socket:
        await say(socket)
        messages = await read_until(socket, "EndOfTurn")
    start, eager = (
        next(m for m in messages[1:] if m.event == event) for event in ("StartOfTurn", "EagerEndOfTurn")
    )
    assert start.transcript == "Hello,"
    assert [word.word for word in start.words] == ["Hello,"]
    assert eager.transcript


async def test_fluxs_strange_messages_are_the_sdks_too(running: Running, deepgram: Client) -> None:
    running.state.faults.put(Fault("strange_messages", provider="deepgram"))
    async with deepgram(running).listen.v2.connect(**FLUX) as socket:
        await say(socket)
        kinds = [message.type for message in await read_until(socket, "EndOfTurn") if message is not None]
    assert "Warning" in kinds


@pytest.mark.parametrize(
    ("terms", "taken"),
    [(["a"] * 100, True), (["a"] * 101, False), (["a" * 20] * 100, True), (["a" * 21] * 84, False)],
)
async def test_keyterms_over_the_limit_are_refused(
    running: Running, deepgram: Client, terms: list[str], taken: bool
) -> None:
    async with deepgram(running).listen.v2.connect(**FLUX) as socket:
        await socket.send_configure({"type": "Configure", "keyterms": terms})
        answer = (await read_until(socket, "ConfigureSuccess" if taken else "ConfigureFailure"))[-1]
        assert taken or "Keyterm limit exceeded" in answer.description


PARTS = ("I need", "an appointment", "on Friday please.")


@pytest.mark.parametrize("endpointing", [10, 25, 100, 299])
async def test_nova_keeps_the_words_of_an_utterance_told_in_pieces(
    tmp_path: Path, deepgram: Client, endpointing: int
) -> None:
    line = {"say": " ".join(PARTS), "reply": "Yes.", "parts": list(PARTS)}
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"utterances": [line, {"say": "Thanks.", "reply": "Yes."}]}))
    settings = NOVA | {"endpointing": endpointing, "utterance_end_ms": 1000}
    pause = max(endpointing, 150) // 20 + 1
    async with (
        serve(StandInSettings(profile="instant", light=True, script=script)) as running,
        deepgram(running).listen.v1.connect(**settings) as socket,
    ):
        for last in (False, False, True):
            await say(socket, quiet_frames=80 if last else min(pause, 15))
        messages = await read_until(socket, "UtteranceEnd")
        finals = [
            m.channel.alternatives[0].transcript for m in messages if m.type == "Results" and m.is_final
        ]
        assert " ".join(text for text in finals if text) == "i need an appointment on friday please"
        assert sum(m.speech_final for m in messages if m.type == "Results") >= (3 if endpointing < 150 else 1)
        await say(socket, quiet_frames=80)
        again = await read_until(socket, "UtteranceEnd")
        finals = [m.channel.alternatives[0].transcript for m in again if m.type == "Results" and m.is_final]
        assert " ".join(text for text in finals if text) == "thanks"


async def test_a_keep_alive_kills_a_flux_socket(running: Running, deepgram: Client) -> None:
    async with deepgram(running).listen.v2.connect(**FLUX) as socket:
        await socket._send({"type": "KeepAlive"})
        messages = [message async for message in read_to_the_end(socket)]
        assert messages[-1].type == "Error"
        assert socket._websocket.close_code == 1008


async def read_to_the_end(socket: Any) -> AsyncIterator[Any]:
    """Like ``read``, but a close that is an error just ends it."""
    from websockets.exceptions import ConnectionClosed

    try:
        async for message in read(socket):
            yield message
    except ConnectionClosed:
        return


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"eager_eot_threshold": 0.95}, "eager_eot_threshold must be between 0.3 and 0.9"),
        ({"eager_eot_threshold": 0.8, "eot_threshold": 0.6}, "must not be above"),
        ({"eot_timeout_ms": 100}, "eot_timeout_ms"),
        ({"encoding": "opus"}, "encoding"),
        ({"sample_rate": 4000}, "sample_rate"),
        ({"model": "flux-general-xx"}, "model"),
    ],
)
async def test_wrong_parameters_fail_the_handshake(
    running: Running, deepgram: Client, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ApiError) as caught:
        async with deepgram(running).listen.v2.connect(**FLUX | changes):
            pass
    assert caught.value.status_code == 400
    headers: Any = caught.value.__context__.headers  # type: ignore[union-attr]
    assert complaint in headers["dg-error"]
    assert headers["dg-request-id"]


async def test_a_bad_key_is_refused(running: Running, deepgram: Client) -> None:
    for connect in (
        deepgram(running, "bad-key").listen.v2.connect(**FLUX),
        deepgram(running, "bad-key").listen.v1.connect(**NOVA),
    ):
        with pytest.raises(ApiError) as caught:
            async with connect:
                pass
        assert caught.value.status_code == 401
    assert running.state.stats.of("deepgram").refused == 2


async def test_a_nova_utterance(running: Running, deepgram: Client) -> None:
    settings = NOVA | {"vad_events": "true", "punctuate": "true", "utterance_end_ms": 1000}
    async with deepgram(running).listen.v1.connect(**settings) as socket:
        await say(socket, quiet_frames=60)
        messages = await read_until(socket, "UtteranceEnd")
        await socket.send_close_stream()
        rest = [message async for message in read(socket)]
    assert messages[0].type == "SpeechStarted"
    results = [message for message in messages if message.type == "Results"]
    assert [(r.is_final, r.speech_final) for r in results[-2:]] == [(False, False), (True, True)]
    final = results[-1].channel.alternatives[0]
    assert final.transcript == "Hello, can you hear me?"
    assert [word.punctuated_word for word in final.words][:2] == ["Hello,", "can"]
    assert messages[-1].last_word_end == pytest.approx(0.7)
    assert [message.type for message in rest] == ["Metadata"]
    assert rest[0].duration == pytest.approx(0.7 + 1.2)


async def test_nova_without_punctuation_finalises_on_request(running: Running, deepgram: Client) -> None:
    async with deepgram(running).listen.v1.connect(**NOVA) as socket:
        await say(socket, quiet_frames=0)
        await socket.send_keep_alive()
        await socket.send_finalize()
        final = next(m for m in await read_finalised(socket) if m.from_finalize)
    assert final.is_final
    assert final.channel.alternatives[0].transcript == "hello can you hear me"


async def read_finalised(socket: Any) -> list[Any]:
    found: list[Any] = []
    async for message in read(socket):
        found.append(message)
        if message.from_finalize:
            break
    return found


async def test_long_speech_is_made_final_piece_by_piece(running: Running, deepgram: Client) -> None:
    async with deepgram(running).listen.v1.connect(**NOVA | {"model": "nova-2"}) as socket:
        await say(socket, speech=hum("a" * 90, 16_000).pcm)
        finals = []
        async for message in read(socket):
            if message.type == "Results" and message.is_final:
                finals.append(message)
                if message.speech_final:
                    break
    assert len(finals) >= 2
    text = " ".join(f.channel.alternatives[0].transcript for f in finals).split()
    assert text == ["hello", "can", "you", "hear", "me"]


async def test_idle_sockets_are_closed(
    running: Running, deepgram: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nova, "IDLE_S", 0.1)
    monkeypatch.setattr(flux, "IDLE_S", 0.1)
    async with deepgram(running).listen.v1.connect(**NOVA) as socket:
        assert [message async for message in read_to_the_end(socket)] == []
        assert (socket._websocket.close_code, socket._websocket.close_reason[:8]) == (1011, "NET-0001")
    async with deepgram(running).listen.v2.connect(**FLUX) as socket:
        messages = [message async for message in read_to_the_end(socket)]
        assert [message.type for message in messages] == ["Connected", "Error"]
        assert socket._websocket.close_code == 1011
