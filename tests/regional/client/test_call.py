"""Calls over a real socket to a region that answers from a script."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from tests.promptness import measured
from tests.regional.client.scripted_region import Script, running, tone

from repartee.client.call import CallOptions, place_call, session_url
from repartee.client.faults import CallFailed
from repartee.client.recording import write_wav
from repartee.client.report import call_report
from repartee.client.speech import Question


def options(url: str, **changes: object) -> CallOptions:
    return CallOptions(url=url, api_key="dev", **changes)  # type: ignore[arg-type]


QUESTION = Question("What are your opening hours?", tone(300) + bytes(4800))


@pytest.mark.parametrize("binary", [True, False])
async def test_a_question_is_answered_and_every_millisecond_has_a_stage(binary: bool) -> None:
    machine = measured()
    script = Script(quiet_ms=420, answer_ms=[200])
    async with running(script) as url, place_call(options(url, binary_audio=binary)) as call:
        turn = await call.ask(QUESTION)
    [heard] = script.heard
    report = call_report([turn], call.dialogue.call_id)
    told = report["turns"][0]
    assert told["answer"].strip() == "Certainly, I can help with that."
    assert told["heard_as"] == "What are your opening hours?"
    assert told["voice_to_voice_ms"] > 400
    assert sum(told["stages_ms"].values()) == pytest.approx(told["voice_to_voice_ms"], abs=1)
    assert told["stages_ms"]["llm"] == 140.4
    assert {"capture", "network", "playback"} <= told["stages_ms"].keys()
    assert heard["turn_id"] == told["turn_id"]
    assert heard["stages_ms"]["network"] == pytest.approx(told["stages_ms"]["network"], abs=0.1)
    assert told["call_id"] == "call_1"
    assert report["p50_ms"] == report["p90_ms"] == told["voice_to_voice_ms"]
    json.dumps(report)
    took_ms = told["voice_to_voice_ms"]
    machine.promise(took_ms < 600, f"the answer was heard after {took_ms:.0f} ms")


async def test_an_interruption_stops_playback_and_tells_what_was_heard() -> None:
    script, machine = Script(answer_ms=[3000, 200]), measured()
    async with running(script) as url, place_call(options(url)) as call:
        first = await call.say(QUESTION)
        assert await call.heard(first, 400)
        second = await call.ask(QUESTION)
    assert first.interrupted
    assert not second.interrupted and second.answered_at_s is not None
    truncate, retrieve = script.received
    assert truncate["type"] == "conversation.item.truncate"
    assert retrieve["type"] == "conversation.item.retrieve" and retrieve["item_id"] == truncate["item_id"]
    assert first.answer == "Certainly, I"
    assert truncate["item_id"] == "item_resp_1"
    assert 400 <= truncate["audio_end_ms"] < 3000
    heard_ms = truncate["audio_end_ms"]
    machine.promise(heard_ms < 700, f"the interruption was noticed after {heard_ms} ms of the answer")


async def test_a_turn_with_a_tool_is_over_only_after_the_answer_that_follows_it() -> None:
    async with running(Script(tool_first=True)) as url, place_call(options(url)) as call:
        turn = await call.ask(QUESTION)
    assert turn.answered_at_s is not None
    assert turn.answer.startswith("Certainly")


async def test_a_greeting_is_no_answer() -> None:
    async with running(Script(greeting="Hello, how can I help?")) as url, place_call(options(url)) as call:
        assert (await call.greeting()).strip() == "Hello, how can I help?"
        turn = await call.ask(QUESTION)
    assert [turn.answer.strip() for turn in call.dialogue.turns] == ["Certainly, I can help with that."]
    assert turn.voice_to_voice_ms is not None


async def test_an_answer_that_does_not_come_is_told_as_such() -> None:
    async with running(Script(mute=True)) as url, place_call(options(url, answer_timeout_s=0.5)) as call:
        turn = await call.ask(QUESTION)
    assert turn.failed == "no answer within 0.5 s"
    assert call_report([turn], None)["p50_ms"] is None


async def test_the_recording_holds_both_sides(tmp_path: Path) -> None:
    async with running(Script(answer_ms=[300])) as url, place_call(options(url)) as call:
        turn = await call.ask(QUESTION)
    write_wav(tmp_path / "call.wav", bytes(call.sent), call.playback.stretches, call.started_at_s, 24_000)
    with wave.open(str(tmp_path / "call.wav")) as wav:
        assert (wav.getnchannels(), wav.getframerate()) == (2, 24_000)
        sound = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2").reshape(-1, 2)
    left, right = (np.flatnonzero(np.abs(sound[:, side]) > 1000) / 24 for side in (0, 1))
    assert left[-1] - left[0] == pytest.approx(300, abs=5)
    assert right[-1] - right[0] == pytest.approx(300, abs=5)
    assert turn.voice_to_voice_ms is not None
    # The sound's own end lies up to a period of the tone before the sample that counts as the last.
    assert right[0] - left[-1] == pytest.approx(turn.voice_to_voice_ms, abs=30)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (Script(refuse_with=503), "takes no further call just now. Try again in 7 s."),
        (Script(refuse_with=404), "the path is /v1/voice/session"),
        (Script(refuse_with=500), "HTTP status 500"),
        (Script(api_key="other"), "refused the API key"),
    ],
)
async def test_a_refusal_is_told_in_words(script: Script, says: str) -> None:
    async with running(script) as url:
        with pytest.raises(CallFailed, match=says):
            async with place_call(options(url)):
                pass


async def test_nobody_listens(unused_tcp_port: int) -> None:
    with pytest.raises(CallFailed, match=r"Nothing listens at .*repartee up"):
        async with place_call(options(f"ws://127.0.0.1:{unused_tcp_port}")):
            pass


async def test_a_call_that_breaks_off_ends_the_waiting() -> None:
    async with running(Script(hang_up_after_turns=1)) as url, place_call(options(url)) as call:
        with pytest.raises(CallFailed, match="close code 1011: the region fell over"):
            await call.ask(QUESTION)


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ("http://h:1", "ws://h:1/v1/voice/session?audio=binary&events=repartee"),
        ("wss://h/v1/realtime?model=x", "wss://h/v1/realtime?model=x&audio=binary&events=repartee"),
        ("127.0.0.1:8787", "ws://127.0.0.1:8787/v1/voice/session?audio=binary&events=repartee"),
    ],
)
def test_addresses(given: str, called: str) -> None:
    assert session_url(given, binary_audio=True) == called


def test_an_address_that_is_none() -> None:
    with pytest.raises(CallFailed, match="no address to call"):
        session_url("ftp://h", binary_audio=True)
