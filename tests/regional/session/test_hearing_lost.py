"""Recognition that is away, falls silent or stalls, on virtual time: what the caller gets, and when."""

import asyncio
import itertools

import pytest
from tests.regional.session.actors import caller_audio, heard_ms
from tests.regional.session.bell import Bell
from tests.regional.session.scripted_providers import ScriptedEars, ScriptedTranscriber, failure
from tests.regional.session.unheard_caller import QUESTION, Caller, Outage, calling
from tests.regional.session.virtual_time import now, run

from repartee.errors import ProviderError
from repartee.session.hearing_policy import HearingPolicy
from repartee.standins.synthesiser import synthesise
from repartee.turn.events import EndOfTurn, HearingLost, HearingResumes, PartialTranscript, StartOfTurn

ASKED = synthesise("Are you open tomorrow?").pcm
"""A second."""


@pytest.mark.parametrize("seconds", [0.7, 4.0, 7.0, 8.5, 10.0])
def test_recognition_that_comes_back_while_audio_is_kept_hears_every_word(seconds: float) -> None:
    async def play() -> None:
        async with calling() as caller:
            await caller.is_quiet(1)
            outage = Outage(caller)
            spoken = b"".join(caller_audio(20) for _ in range(int(seconds * 50)))
            await caller.says(spoken)
            outage.is_over()
            await caller.is_quiet(3)
            again = caller.transcribers[1]
            assert spoken in bytes(again.fed)
            assert not caller.running.done()
            assert len(outage.attempts) < 30

    run(play())


def test_the_caller_is_told_by_8_s_and_the_call_ends_after_10() -> None:
    async def play() -> None:
        async with calling() as caller:
            outage = Outage(caller)
            lost_at = caller.since
            await caller.until_over()
            assert len(caller.told_at) == 1
            assert 5 < caller.told_at[0] - lost_at <= 7
            assert 10 <= caller.since - lost_at <= 11.4
            assert 10 <= len(outage.attempts) <= 30

    run(play())


def test_a_recogniser_that_was_never_there_is_waited_for_as_long() -> None:
    async def play() -> None:
        caller = Caller()
        Outage(caller)
        await caller.until_over()
        assert caller.told_at and 10 <= caller.since <= 11.4

    run(play())


def test_attempts_that_hang_do_not_hold_up_the_end() -> None:
    async def play() -> None:
        async with calling() as caller:
            caller.ears.obstacles.append("hang")
            caller.transcribers[0].is_lost()
            await caller.until_over()
            assert 10 <= caller.since <= 11.4

    run(play())


def test_another_vendor_takes_over_instead_of_the_end() -> None:
    async def play() -> None:
        async with calling() as caller:
            other = ScriptedEars(Bell())
            caller.others.append(other)
            Outage(caller)
            await caller.is_quiet(12)
            assert not caller.running.done()
            assert heard_ms(other.transcribers[0]) > 11_000

    run(play())


def test_a_refusal_that_nothing_will_change_ends_the_call_at_once() -> None:
    async def play() -> None:
        async with calling() as caller:
            caller.ears.obstacles.append(failure("stt", retryable=False))
            caller.transcribers[0].is_lost()
            await caller.until_over()
            assert caller.since < 0.3

    run(play())


class NarrowSocket(ScriptedTranscriber):
    """A connection that takes 150 kB a second, and is dropped when 256 KiB wait in it."""

    def __init__(self) -> None:
        super().__init__(Bell())
        self._unsent, self._at = 0.0, now()
        self.has_room = False
        self.most = 0.0

    def __getattribute__(self, name: str) -> object:
        return self._room() if name == "has_room" else super().__getattribute__(name)

    def _room(self) -> bool:
        passed, self._at = now() - self._at, now()
        self._unsent = max(self._unsent - 150_000 * passed, 0.0)
        return self._unsent < 2**16

    def feed(self, pcm: bytes) -> None:
        self._room()
        self._unsent += len(pcm)
        self.most = max(self.most, self._unsent)
        if self._unsent > 2**18:
            self.is_lost()
        super().feed(pcm)


def test_what_waits_is_fed_in_pieces_that_no_socket_breaks_under() -> None:
    async def play() -> None:
        async with calling() as caller:
            outage = Outage(caller)
            await caller.says(b"".join(caller_audio(20) for _ in range(490)))
            narrow = NarrowSocket()

            async def listen(**options: object) -> ScriptedTranscriber:
                caller.transcribers.append(narrow)
                return narrow

            outage.is_over()
            caller.ears.listen = listen  # type: ignore[method-assign]
            await caller.is_quiet(6)
            assert len(caller.transcribers) == 2
            assert len(narrow.fed) >= 490 * 960
            assert narrow.most < 2**17

    run(play())


def test_what_waits_is_fed_at_a_bounded_pace() -> None:
    async def play() -> None:
        async with calling() as caller:
            caller.hearing.feed(caller_audio(30_000))
            first = caller.transcribers[0]
            assert heard_ms(first) <= 2_100
            await asyncio.sleep(1)
            assert 10_000 <= heard_ms(first) <= 12_200
            await asyncio.sleep(2)
            assert heard_ms(first) >= 30_000

    run(play())


def test_the_turn_under_way_is_heard_again_from_its_beginning_and_is_not_answered_before() -> None:
    async def play() -> None:
        async with calling() as caller:
            await caller.is_quiet(0.5)
            first = caller.transcribers[0]
            half = len(QUESTION) // 2 // 960 * 960
            await caller.says(QUESTION[:half])
            first.hears(StartOfTurn("I would"), PartialTranscript("I would like to"))
            await asyncio.sleep(0)
            first.is_lost()
            await caller.says(QUESTION[half:])
            second = caller.transcribers[1]
            assert QUESTION[: len(QUESTION) // 960 * 960] in bytes(second.fed)
            second.hears(StartOfTurn("I would like to book"), EndOfTurn("I would like to book a table."))
            await asyncio.sleep(0)
            assert caller.delivered == [
                StartOfTurn("I would"),
                PartialTranscript("I would like to"),
                HearingResumes(anew=True),
                StartOfTurn("I would like to book"),
                caller.delivered[-1],
            ]

    run(play())


def test_what_has_been_heard_to_its_end_is_not_heard_again() -> None:
    async def play() -> None:
        async with calling() as caller:
            await caller.says(QUESTION)
            first = caller.transcribers[0]
            first.hears(StartOfTurn("I would"), EndOfTurn("I would like to book a table."))
            await caller.is_quiet(0.5)
            first.is_lost()
            await caller.is_quiet(1)
            assert set(caller.transcribers[1].fed) == {0}
            assert not [event for event in caller.delivered if isinstance(event, HearingResumes)]

    run(play())


def test_of_a_very_long_turn_the_words_are_kept() -> None:
    async def play() -> None:
        async with calling(HearingPolicy(turn_ms=3_000)) as caller:
            first = caller.transcribers[0]
            first.hears(StartOfTurn("One"))
            await caller.says(caller_audio(4_000))
            first.is_lost()
            await caller.says(caller_audio(1_000))
            assert caller.delivered[-1] == HearingResumes(anew=False)
            assert heard_ms(caller.transcribers[1]) <= 1_050

    run(play())


def test_a_noise_taken_for_a_turn_does_not_stay_open() -> None:
    async def play() -> None:
        async with calling() as caller:
            first = caller.transcribers[0]
            first.hears(StartOfTurn())
            await caller.is_quiet(0.5)
            first.is_lost()
            await caller.is_quiet(4)
            assert caller.delivered[-1] == HearingLost()
            assert not caller.running.done()

    run(play())


def test_a_request_to_end_the_turn_waits_for_the_audio_before_it_and_for_another_transcriber() -> None:
    async def play() -> None:
        async with calling() as caller:
            outage = Outage(caller)
            await caller.says(caller_audio(5_000))
            caller.hearing.finish_turn()
            outage.is_over()
            await asyncio.sleep(2)
            second = caller.transcribers[1]
            assert heard_ms(second) >= 4_980
            assert second.turns_finished == 1
            second.is_lost()
            await asyncio.sleep(1.2)
            assert caller.transcribers[2].turns_finished == 1

    run(play())


# --- sessions that are there and say nothing -----------------------------------------------------------------------


def test_deaf_recognition_is_replaced_after_5_s_then_the_caller_is_told_and_at_last_the_call_ends() -> None:
    async def play() -> None:
        async with calling() as caller:
            opened: list[float] = []
            listen = caller.ears.listen

            async def note(**options: object) -> ScriptedTranscriber:
                opened.append(caller.since)
                return await listen()

            caller.ears.listen = note  # type: ignore[method-assign]
            await caller.is_quiet(1)
            spoke_at = caller.since
            while not caller.running.done() and caller.since < 200:
                await caller.says(QUESTION)
                await caller.is_quiet(3)
            lost_at = [at - spoke_at for at in opened]
            assert lost_at[0] == pytest.approx(5.0, abs=0.25)
            assert len(opened) == 3
            assert min(later - earlier for earlier, later in itertools.pairwise(opened)) >= 30
            assert caller.told_at and opened[0] < caller.told_at[0] < opened[0] + 12
            assert isinstance(caller.running.exception(), ProviderError)
            assert caller.since - opened[-1] >= 5

    run(play())


def test_what_was_said_to_deaf_recognition_is_heard_anew_and_the_caller_told_if_in_vain() -> None:
    async def play() -> None:
        async with calling() as caller:
            await caller.is_quiet(1)
            await caller.says(ASKED)
            asked_until = caller.since
            await caller.is_quiet(24)
            assert len(caller.transcribers) == 2
            assert ASKED[: len(ASKED) // 960 * 960] in bytes(caller.transcribers[1].fed)
            assert [told_at - asked_until <= 7 for told_at in caller.told_at] == [True]

    run(play())


@pytest.mark.parametrize("begun", [True, False])
def test_what_another_has_to_hear_again_was_said_when_it_was_said(begun: bool) -> None:
    """Patience counts from the caller's last word, however long nobody heard it, its turn begun or not."""

    async def play() -> None:
        async with calling() as caller:
            await caller.is_quiet(1)
            await caller.says(ASKED[: len(ASKED) // 2])
            if begun:
                caller.transcribers[0].hears(StartOfTurn("Are"))
                caller.transcribers[0].owing_since = now()
            await caller.says(ASKED[len(ASKED) // 2 :])
            asked_until = now()
            await caller.is_quiet(6.5)
            caller.transcribers[1].hears(StartOfTurn("Are"), EndOfTurn("Are you open tomorrow?"))
            await caller.is_quiet(0.1)
            ended = caller.delivered[-1]
            assert isinstance(ended, EndOfTurn)
            assert ended.speech_ended_at == pytest.approx(asked_until, abs=0.3)

    run(play())


def test_who_was_told_that_they_are_not_heard_is_kept_company_until_they_are() -> None:
    async def play() -> None:
        async with calling() as caller:
            await caller.says(ASKED)
            caller.transcribers[0].hears(StartOfTurn("Are"))
            caller.transcribers[0].owing_since = now()
            await caller.is_quiet(24)
            assert len(caller.told_at) == 1
            first, second = caller.accompanied_at
            assert caller.told_at[0] + 8 <= first <= caller.told_at[0] + 8.3
            assert first + 8 <= second <= first + 8.3
            caller.transcribers[1].hears(StartOfTurn("Are"), EndOfTurn("Are you open tomorrow?"))
            await caller.is_quiet(9)
            assert caller.accompanied_at == [first, second]

    run(play())


def test_recognition_that_answers_is_not_replaced() -> None:
    async def play() -> None:
        async with calling() as caller:
            for _ in range(10):
                await caller.says(QUESTION)
                caller.transcribers[0].hears(StartOfTurn("I"), EndOfTurn("I would like to book a table."))
                await caller.is_quiet(4)
            assert len(caller.transcribers) == 1 and not caller.told_at

    run(play())


def test_recognition_that_begins_each_turn_and_stalls_is_not_dialled_for_ever() -> None:
    async def play() -> None:
        async with calling() as caller:
            answered = 0
            while not caller.running.done() and caller.since < 200:
                if len(caller.transcribers) > answered:
                    answered = len(caller.transcribers)
                    caller.transcribers[-1].hears(StartOfTurn("I"))
                    await caller.says(caller_audio(100))
                    caller.transcribers[-1].owing_since = now()
                await caller.says(caller_audio(100))
            assert len(caller.transcribers) == 4
            assert caller.told_at
            assert 60 <= caller.since <= 80
            assert isinstance(caller.running.exception(), ProviderError)

    run(play())


def test_recognition_that_says_one_thing_and_closes_is_not_dialled_for_ever() -> None:
    async def play() -> None:
        async with calling() as caller:
            answered = 0
            while not caller.running.done() and caller.since < 100:
                if len(caller.transcribers) > answered:
                    answered = len(caller.transcribers)
                    caller.transcribers[-1].hears(StartOfTurn("I"))
                    caller.transcribers[-1].is_lost()
                await caller.says(caller_audio(20))
            assert len(caller.transcribers) < 30
            assert 10 <= caller.since <= 12

    run(play())


def test_a_turn_that_was_served_earns_new_attempts() -> None:
    async def play() -> None:
        async with calling() as caller:
            for number in range(30):
                await asyncio.sleep(0.3)
                caller.transcribers[number].hears(StartOfTurn("I"), EndOfTurn("I see."))
                caller.transcribers[number].is_lost()
                await asyncio.sleep(0.3)
            assert not caller.running.done() and not caller.told_at

    run(play())


def test_a_peer_that_does_not_read_is_replaced_too() -> None:
    async def play() -> None:
        async with calling() as caller:
            caller.transcribers[0].has_room = False
            await caller.is_quiet(6.5)
            assert len(caller.transcribers) == 2
            assert heard_ms(caller.transcribers[1]) >= 5_000

    run(play())
