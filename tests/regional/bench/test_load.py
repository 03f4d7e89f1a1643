"""The load generator: what counts as answered, unanswered and early, and that it keeps its own time."""

import json

import numpy as np
import pytest
from tests.promptness import measured as watched
from tests.regional.client.scripted_region import Script, running, tone

from repartee.bench.lean_socket import LeanSocket, laid_out
from repartee.bench.load import Load, LoadCall, Measured, open_calls, run_load, scripted, speech
from repartee.client.faults import CallFailed

FRAMES = 50


class Wire:
    """A socket that keeps what is written."""

    closed = None

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, frame: bytes) -> None:
        self.written.append(frame)


def call_of(turns: int, measured: Measured) -> LoadCall:
    call = LoadCall(scripted(FRAMES, binary_audio=True), turns, measured)
    call.socket = Wire()  # type: ignore[assignment]
    return call


def test_an_answer_is_timed_from_the_last_sample_of_speech_to_the_first_audible_one() -> None:
    measured = Measured()
    call = call_of(1, measured)
    for frame in range(FRAMES + 1):
        now = frame * 0.02
        call.tick(now)
        if frame == 40:
            call.receive(bytes(4_800) + tone(40), False, now)
    ends_s = (
        len(speech()) / 48_000
    ) - 0.02  # the frame that holds the end is sent one frame earlier than it lasts
    (latency,) = measured.latencies_ms
    # 100 ms of the answer are silent.
    assert latency == pytest.approx((0.8 + 0.1 - ends_s) * 1000, abs=20)
    assert (measured.unanswered, measured.early) == (0, 0)
    assert call.over


def test_a_gated_microphone_sends_speech_alone_and_is_timed_alike() -> None:
    open_script, gated_script = (scripted(FRAMES, binary_audio=True, gated=gated) for gated in (False, True))
    wire = Wire()
    call = LoadCall(gated_script, 1, Measured())
    call.socket = wire  # type: ignore[assignment]
    for frame in range(FRAMES):
        call.tick(frame * 0.02)
    spoken_frames = -(-len(speech()) // 960)
    assert wire.written == list(open_script.frames[:spoken_frames])
    assert gated_script.last_speech_frame == open_script.last_speech_frame


def test_no_answer_and_one_that_comes_too_early() -> None:
    measured = Measured()
    call = call_of(2, measured)
    for frame in range(2 * FRAMES + 1):
        call.tick(frame * 0.02)
        if frame == FRAMES + 5:
            call.receive(tone(20), False, frame * 0.02)
    assert (measured.unanswered, measured.early) == (2, 1)
    assert measured.latencies_ms == []


def test_the_rest_of_an_answer_is_no_early_one() -> None:
    measured = Measured()
    call = call_of(2, measured)
    for frame in range(2 * FRAMES + 1):
        call.tick(frame * 0.02)
        # One answer, from the first question's end into the second question.
        if 40 <= frame <= FRAMES + 5:
            call.receive(tone(20), False, frame * 0.02)
    assert (measured.unanswered, measured.early) == (1, 0)


def test_silence_alone_is_no_answer() -> None:
    measured = Measured()
    call = call_of(1, measured)
    for frame in range(FRAMES + 1):
        call.tick(frame * 0.02)
        call.receive(bytes(960), False, frame * 0.02)
    assert measured.unanswered == 1


def test_a_frame_is_what_a_websocket_client_would_send() -> None:
    for size in (0, 125, 126, 65_535, 65_536):
        frame = laid_out(bytes(size), text=False)
        assert frame[0] == 0x82 and frame[1] & 0x80
        assert frame.endswith(bytes(size))
    assert laid_out(b"{}", text=True)[0] == 0x81


@pytest.mark.parametrize("binary", [True, False])
async def test_calls_over_a_real_socket(binary: bool) -> None:
    measured, machine = Measured(), watched()
    async with running(Script(quiet_ms=200, answer_ms=[200] * 9)) as url:
        load = Load(url, calls=3, turns=2, turns_per_minute=40, binary_audio=binary, api_key="dev")
        async with open_calls(load, measured) as calls:
            await run_load(load, measured, calls)
    assert len(measured.latencies_ms) == 6
    assert (measured.unanswered, measured.early, measured.faults) == (0, 0, [])
    median_ms = np.median(measured.latencies_ms)
    assert median_ms > 180 and measured.seconds > 3.0
    machine.promise(bool(median_ms < 320), f"half of the answers took more than {median_ms:.0f} ms")
    machine.promise(measured.seconds < 5.0, f"the calls took {measured.seconds:.1f} s")


async def test_a_refused_call_is_told_in_words() -> None:
    async with running(Script(refuse_with=503)) as url:
        load = Load(url, calls=2, turns=1, api_key="dev")
        with pytest.raises(CallFailed, match="takes no further call just now"):
            async with open_calls(load, Measured()):
                pass


async def test_a_call_that_the_server_ends_is_a_fault_of_the_run() -> None:
    measured = Measured()
    async with running(Script(hang_up_after_turns=1)) as url:
        load = Load(url, calls=1, turns=1, turns_per_minute=30, api_key="dev")
        async with open_calls(load, measured) as calls:
            await run_load(load, measured, calls)
    assert measured.unanswered == 1
    assert measured.faults == ["The server ended the call (close code 1011: the region fell over)."]


async def test_pieces_of_one_message_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    from websockets.frames import Frame, Opcode

    got: list[tuple[bytes, bool]] = []
    socket = LeanSocket("ws://127.0.0.1:1/", "", lambda payload, text: got.append((payload, text)))
    whole = json.dumps({"type": "x"}).encode()
    socket.take(Frame(Opcode.TEXT, whole[:5], fin=False))
    socket.take(Frame(Opcode.CONT, whole[5:]))
    assert got == [(whole, True)]
