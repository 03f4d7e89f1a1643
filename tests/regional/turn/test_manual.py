"""Turns that the client ends: committed, cleared, and answered when it asks."""

import pytest
from tests.regional.turn.conversation import MANUAL, Conversation

from repartee.errors import ClientProtocolError
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.policy import TurnPolicy


def committing(talk: Conversation) -> list[c.Command]:
    return talk.send(e.TurnCommitted())


def asking(talk: Conversation, options: object = None) -> list[c.Command]:
    return talk.send(e.ReplyRequested(options=options))


def test_recognition_alone_ends_nothing() -> None:
    talk = Conversation(MANUAL)
    talk.caller_says("What is my balance?")
    assert talk.state == "HEARING"
    assert not talk.all(c.TurnEnded)
    talk.caller_starts("In")
    assert talk.last(c.TurnHeard).text == "What is my balance? In"
    talk.caller_ends("In euros?")
    assert talk.state == "HEARING"
    assert talk.told == []


def test_an_eager_end_is_nothing() -> None:
    talk = Conversation(MANUAL)
    talk.caller_starts("What")
    talk.caller_pauses("What is my balance?")
    assert talk.state == "HEARING"
    assert not talk.all(c.StartReply)
    assert talk.caller_resumes() == []


def test_a_commit_before_recognition_has_ended_waits_for_its_last_words() -> None:
    talk = Conversation(MANUAL)
    talk.caller_starts("What")
    assert committing(talk) == [c.EndHearing(), c.SetDeadline("commit", 1.5)]
    assert asking(talk) == []
    assert talk.state == "HEARING"
    talk.wait(0.2)
    talk.caller_ends("What is my balance?")
    assert talk.state == "THINKING"
    assert talk.last(c.TurnEnded).item is not None
    assert talk.last(c.StartReply).messages == [{"role": "user", "content": "What is my balance?"}]
    assert "commit" not in talk.deadlines


def test_a_commit_after_recognition_has_ended_takes_all_its_words() -> None:
    talk = Conversation(MANUAL)
    talk.caller_says("What is my balance?")
    talk.caller_says("In euros?")
    committing(talk)
    talk.caller_ends("")
    assert talk.told == ["user: What is my balance? In euros?"]
    assert talk.state == "LISTENING"
    asking(talk, options="brief")
    assert talk.last(c.StartReply).options == "brief"
    assert talk.state == "THINKING"


def test_without_an_answer_from_recognition_the_words_there_are_count() -> None:
    talk = Conversation(MANUAL)
    talk.caller_starts("What is")
    committing(talk)
    asking(talk)
    talk.wait(1.5)
    assert talk.told == ["user: What is"]
    assert talk.state == "THINKING"


def test_words_that_come_after_that_are_dropped() -> None:
    """The recogniser answers at last; its words must not become a second turn, let alone an interruption."""
    talk = Conversation(MANUAL)
    talk.caller_starts("What is")
    committing(talk)
    talk.wait(1.5)
    assert talk.caller_goes_on("What is my balance") == []
    assert talk.caller_ends("What is my balance?") == []
    assert talk.state == "LISTENING"
    talk.caller_goes_on("Hello")
    assert talk.state == "HEARING"


def test_a_commit_of_nothing_is_an_empty_turn() -> None:
    talk = Conversation(MANUAL)
    committing(talk)
    talk.caller_ends("")
    assert talk.last(c.TurnEnded).item is None
    assert talk.state == "LISTENING"


def test_a_reply_requested_right_after_a_commit_of_nothing_is_made() -> None:
    talk = Conversation(MANUAL)
    committing(talk)
    asking(talk)
    assert not talk.all(c.StartReply)
    talk.caller_ends("")
    assert talk.state == "THINKING"
    assert talk.all(c.StartReply)


def test_a_reply_requested_amid_words_commits_them() -> None:
    """The client forgot, or never meant to: it is not left waiting."""
    talk = Conversation(MANUAL)
    talk.caller_starts("Hm")
    assert asking(talk) == [c.EndHearing(), c.SetDeadline("commit", 1.5)]
    talk.wait(1.5)
    assert talk.state == "THINKING"


def test_a_second_request_before_the_first_is_met_is_refused() -> None:
    talk = Conversation(MANUAL)
    talk.caller_starts("Hm")
    asking(talk)
    with pytest.raises(ClientProtocolError, match="response in progress"):
        asking(talk)


def test_a_request_that_is_not_met_yet_can_be_taken_back() -> None:
    talk = Conversation(MANUAL)
    talk.caller_starts("Hm")
    committing(talk)
    asking(talk)
    assert talk.send(e.ReplyCancelled()) == []
    talk.caller_ends("Hm.")
    assert talk.state == "LISTENING"
    assert not talk.all(c.StartReply)


def test_the_time_of_the_answer_runs_from_the_end_of_the_speech() -> None:
    talk = Conversation(MANUAL)
    talk.caller_says("What is my balance?", lasting=1.0)
    committing(talk)
    talk.wait(0.1)
    talk.caller_ends("")
    asking(talk)
    talk.agent_says("Ten pounds.")
    trace = talk.last(c.TurnTraced).trace
    assert trace.stages_ms["end_of_turn"] == pytest.approx(350)
    assert trace.voice_to_voice_ms == pytest.approx(350 + 240)


class TestOverTheAgent:
    """The caller presses the button while the agent speaks or thinks."""

    def answering(self, policy: TurnPolicy = MANUAL) -> Conversation:
        talk = Conversation(policy)
        talk.caller_starts("Hello")
        committing(talk)
        asking(talk)
        talk.caller_ends("Hello.")
        talk.agent_says("Hello, what can I do for you today?", ms=4000)
        assert talk.state == "SPEAKING"
        return talk

    def test_words_do_not_stop_it_until_they_are_committed(self) -> None:
        talk = self.answering()
        talk.caller_starts("Stop")
        talk.caller_ends("Stop it.")
        assert talk.state == "OVERLAP"
        committing(talk)
        assert talk.state == "HEARING"
        assert talk.all(c.StopPlaying)
        asking(talk)
        talk.caller_ends("")
        assert talk.told[-1] == "user: Stop it."
        assert talk.state == "THINKING"

    def test_a_commit_of_nothing_stops_nothing(self) -> None:
        talk = self.answering()
        assert committing(talk) == [c.EndHearing(), c.SetDeadline("commit", talk.now + 1.5)]
        talk.caller_ends("")
        assert "commit" not in talk.deadlines
        assert talk.state == "SPEAKING"
        talk.caller_starts("mhm")
        assert talk.state == "OVERLAP"

    def test_words_recognised_after_the_commit_stop_it(self) -> None:
        talk = self.answering()
        committing(talk)
        talk.wait(0.2)
        talk.caller_starts("Stop")
        assert talk.state == "HEARING"
        talk.caller_ends("Stop it.")
        assert talk.told[-1] == "user: Stop it."

    def test_a_commit_just_before_the_answer_is_not_lost(self) -> None:
        talk = Conversation(MANUAL)
        asking(talk)
        committing(talk)
        assert talk.state == "THINKING"
        talk.caller_starts("Wait")
        talk.caller_ends("Wait, please.")
        assert talk.told == ["user: Wait, please."]
        assert talk.last(c.ReplyEnded).status == "cancelled"

    def test_a_request_with_it_is_met_when_it_is_clear_that_nothing_was_said(self) -> None:
        talk = self.answering()
        committing(talk)
        talk.send(e.SayRequested("One moment."))
        talk.wait(1.5)
        talk.wait(3)
        assert talk.said() == ["One moment."]

    def test_a_request_while_the_agent_has_just_finished_is_met_at_once(self) -> None:
        talk = self.answering()
        talk.wait(3.5)
        committing(talk)
        asking(talk)
        talk.wait(0.6)
        assert talk.state == "LISTENING"
        talk.wait(1)
        assert len(talk.all(c.StartReply)) == 2

    def test_words_left_when_it_has_finished_wait_for_the_commit(self) -> None:
        talk = self.answering()
        talk.wait(3)
        talk.caller_starts("And")
        talk.caller_ends("And then?")
        talk.wait(2)
        assert talk.state == "HEARING"
        assert talk.last(c.TurnHeard).text == "And then?"
        committing(talk)
        talk.caller_ends("")
        assert talk.told[-1] == "user: And then?"

    def test_a_request_over_uncommitted_words_is_met_when_it_has_finished(self) -> None:
        talk = self.answering()
        talk.caller_starts("And")
        talk.caller_ends("And then?")
        assert asking(talk) == []
        talk.wait(4)
        talk.caller_ends("")
        assert talk.state == "THINKING"
        assert talk.last(c.StartReply).messages[-1]["content"] == "And then?"


class TestCleared:
    def test_what_was_heard_is_taken_back(self) -> None:
        talk = Conversation(MANUAL)
        talk.caller_says("What was that?")
        talk.send(e.AudioCleared())
        assert talk.state == "LISTENING"
        assert talk.last(c.TurnEnded).item is None
        assert talk.told == []
        assert talk.caller_goes_on("What was that? No") == [], "its late words"

    def test_over_the_agent_too(self) -> None:
        talk = TestOverTheAgent().answering()
        talk.caller_starts("Stop")
        talk.send(e.AudioCleared())
        assert talk.state == "SPEAKING"
        talk.wait(5)
        assert talk.state == "LISTENING"

    @pytest.mark.parametrize("policy", [MANUAL, TurnPolicy()])
    def test_without_words_it_is_nothing(self, policy: TurnPolicy) -> None:
        talk = Conversation(policy)
        assert talk.send(e.AudioCleared()) == [c.InputCleared()]

    def test_with_turn_detection_a_turn_is_not_the_clients_to_clear(self) -> None:
        talk = Conversation()
        talk.caller_starts("Hello")
        assert talk.send(e.AudioCleared()) == [c.InputCleared()]
        assert talk.state == "HEARING"


class TestWithTurnDetection:
    """The client commits although recognition ends the turns."""

    def test_the_turn_ends_at_once_and_is_answered(self) -> None:
        talk = Conversation()
        talk.caller_starts("What is my balance")
        committing(talk)
        talk.caller_ends("What is my balance")
        assert talk.state == "THINKING"

    def test_no_speculation_is_made_on_it(self) -> None:
        talk = Conversation()
        talk.caller_starts("What is my balance")
        committing(talk)
        talk.caller_pauses("What is my balance")
        assert not talk.all(c.StartReply)

    @pytest.mark.parametrize("overlapping", [False, True])
    def test_over_the_agent_it_is_nothing(self, overlapping: bool) -> None:
        talk = Conversation()
        talk.caller_says("Hello.")
        assert committing(talk) == []
        talk.agent_says("Hello, what can I do for you today?", ms=4000)
        if overlapping:
            talk.caller_starts("mhm")
        assert committing(talk) == []
        assert not talk.all(c.StopPlaying)

    def test_a_stale_deadline_ends_no_later_turn(self) -> None:
        talk = Conversation()
        talk.caller_starts("Hello")
        talk.send(e.DeadlinePassed("commit"))
        assert talk.state == "HEARING"


def test_lost_hearing_leaves_the_turn_to_the_client() -> None:
    talk = Conversation(MANUAL)
    talk.caller_starts("What is")
    talk.send(e.HearingLost())
    assert talk.state == "HEARING"
    talk.caller_starts("my balance")
    committing(talk)
    talk.caller_ends("my balance?")
    assert talk.told == ["user: What is my balance?"]


def test_lost_hearing_after_a_commit_ends_the_turn() -> None:
    talk = Conversation(MANUAL)
    talk.caller_starts("What is")
    committing(talk)
    talk.send(e.HearingLost())
    assert talk.told == ["user: What is"]
