"""Recognition that takes an end of turn back, or is lost in mid-turn."""

from tests.regional.turn.conversation import Conversation

from repartee.turn import commands as c
from repartee.turn import events as e


class TestHearingResumes:
    def test_half_a_turn_is_not_answered_and_its_words_are_heard_anew(self) -> None:
        talk = Conversation()
        talk.caller_starts("I would")
        talk.caller_goes_on("I would like to")
        talk.send(e.HearingResumes(anew=True))
        assert talk.state == "HEARING"
        talk.caller_starts("I would")
        talk.caller_says("I would like to book a table.")
        assert talk.told == ["user: I would like to book a table."]

    def test_a_speculation_is_taken_back(self) -> None:
        talk = Conversation()
        talk.caller_starts("What is")
        talk.caller_pauses("What is my balance")
        talk.send(e.HearingResumes(anew=True))
        assert talk.state == "HEARING"
        assert talk.last(c.SpeculationEnded).outcome == "resumed"

    def test_if_it_is_not_heard_anew_what_follows_is_added(self) -> None:
        talk = Conversation()
        talk.caller_starts("I would")
        talk.caller_goes_on("I would like to")
        talk.send(e.HearingResumes(anew=False))
        talk.caller_starts("book a table")
        talk.caller_says("book a table.")
        assert talk.told == ["user: I would like to book a table."]

    def test_over_the_agent_it_goes_on(self) -> None:
        talk = Conversation()
        talk.caller_says("Hello.")
        talk.agent_says("Hi there, how are you?", ms=3000)
        talk.caller_starts("mhm")
        talk.send(e.HearingResumes(anew=True))
        assert talk.state == "OVERLAP"

    def test_while_nobody_speaks_it_is_nothing(self) -> None:
        talk = Conversation()
        assert talk.send(e.HearingResumes()) == []


class TestHearingLost:
    def test_the_words_there_are_become_the_turn(self) -> None:
        talk = Conversation()
        talk.caller_starts("What is")
        talk.caller_goes_on("What is my balance")
        talk.send(e.HearingLost())
        assert talk.state == "THINKING"
        assert talk.told == ["user: What is my balance"]

    def test_a_speculation_on_the_same_words_is_released(self) -> None:
        talk = Conversation()
        talk.caller_starts("What is")
        talk.caller_pauses("What is my balance")
        talk.send(e.HearingLost())
        assert talk.last(c.SpeculationEnded).outcome == "released"

    def test_without_words_the_call_listens_on(self) -> None:
        talk = Conversation()
        talk.caller_starts()
        talk.send(e.HearingLost())
        assert talk.state == "LISTENING"
        talk.caller_says("Hello?")
        assert talk.state == "THINKING"

    def test_over_the_agent_it_ends_the_overlap(self) -> None:
        talk = Conversation()
        talk.caller_says("Hello.")
        talk.agent_says("Hi there, how are you?", ms=3000)
        talk.caller_starts("mhm")
        assert talk.state == "OVERLAP"
        talk.send(e.HearingLost())
        assert talk.state == "SPEAKING"

    def test_while_nobody_speaks_it_is_nothing(self) -> None:
        talk = Conversation()
        assert talk.send(e.HearingLost()) == []
