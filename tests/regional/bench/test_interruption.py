"""A caller who interrupts, on a clock of the test's own."""

from tests.regional.client.scripted_region import tone

from repartee.bench.interruption import InterruptingCall, Interruptions
from repartee.bench.load import FRAME_MS, scripted

FRAME_S = FRAME_MS / 1000
STARTED = b'{"type":"input_audio_buffer.speech_started","event_id":"e"}'
SOUND = tone(40)


class Wire:
    closed = None

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, frame: bytes) -> None:
        self.written.append(frame)


def hold(
    times: int, *, told_after_s: float | None, stops_after_s: float, answers: bool = True
) -> Interruptions:
    """A conversation, frame by frame; the agent is told and stops so long after each first sound."""
    came = Interruptions()
    script = scripted(125, binary_audio=True)
    call = InterruptingCall(script, times, came)
    call.socket = wire = Wire()  # type: ignore[assignment]
    speech, silence = script.frames[0], script.frames[-1]
    now, onset_s, ended_s, asked = 0.0, None, None, 0
    while not call.over:
        call.tick(now)
        sent = wire.written[-1]
        if sent == speech and (len(wire.written) == 1 or wire.written[-2] == silence):
            onset_s, ended_s, asked = now - FRAME_S, None, asked + 1
        if sent == silence and ended_s is None:
            ended_s = now
        if asked > 1 and onset_s is not None and ended_s is None:
            since_s = now - onset_s
            if told_after_s is not None and abs(since_s - told_after_s) < FRAME_S / 2:
                call.receive(STARTED, True, now)
            if since_s <= stops_after_s + 1e-9:
                call.receive(SOUND, False, now)
        if answers and ended_s is not None and now - ended_s >= 0.4:
            call.receive(SOUND, False, now)
        now += FRAME_S
        assert now < 200
    return came


def test_the_time_from_the_first_sound_to_the_telling() -> None:
    came = hold(3, told_after_s=0.14, stops_after_s=0.1)
    assert [round(ms) for ms in came.told_ms] == [140] * 3
    assert [round(ms) for ms in came.silent_ms] == [140] * 3
    assert (came.missed, came.unanswered) == (0, 0)


def test_audio_that_still_comes_afterwards_counts() -> None:
    came = hold(2, told_after_s=0.14, stops_after_s=0.24)
    assert [round(ms) for ms in came.told_ms] == [140] * 2
    assert [round(ms) for ms in came.silent_ms] == [240] * 2


def test_an_interruption_that_is_not_noticed_is_missed() -> None:
    came = hold(2, told_after_s=None, stops_after_s=0.4)
    assert (came.told_ms, came.missed) == ([], 2)


def test_a_question_without_an_answer_ends_the_call() -> None:
    came = hold(2, told_after_s=0.14, stops_after_s=0.1, answers=False)
    assert came.unanswered == 1
