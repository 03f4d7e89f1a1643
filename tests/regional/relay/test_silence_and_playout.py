"""A caller who says nothing, turns that come twice, and what was played of an answer."""

from dataclasses import replace

import pytest
from tests.regional.relay.dialogue import TOOLS, Dialogue
from tests.regional.relay.test_nobody_waits_in_vain import asked, calling

from repartee.relay import commands as r
from repartee.turn import commands as c
from repartee.turn.events import Played, SayRequested
from repartee.turn.policy import TurnPolicy

SILENT = TurnPolicy(idle_s=5.0)


class TestSilence:
    def test_the_caller_is_asked_twice_and_then_the_call_ends(self) -> None:
        talk = asked(SILENT)
        talk.answers(ms=1_000)
        talk.wait(5.9)
        assert talk.recited == []
        talk.wait(0.2)
        assert talk.recited == [SILENT.still_there]
        talk.wait(6)
        assert talk.recited == 2 * [SILENT.still_there]
        talk.wait(10.8)
        assert not talk.all(c.HangUp)
        talk.wait(0.3)
        assert talk.all(c.HangUp)

    def test_in_the_models_words(self) -> None:
        talk = asked(replace(SILENT, still_there=""))
        talk.answers(ms=1_000)
        talk.wait(6.1)
        assert len(talk.asks()) == 1
        talk.answers("Are you there?", ms=1_000)
        talk.wait(6.1)
        assert len(talk.asks()) == 2

    def test_who_speaks_again_is_asked_anew(self) -> None:
        talk = asked(SILENT)
        for _ in range(3):
            talk.answers(ms=1_000)
            talk.wait(6.1)
            talk.caller_says()
        talk.answers(ms=1_000)
        talk.wait(15)
        assert not talk.all(c.HangUp)

    @pytest.mark.parametrize("policy", [TurnPolicy(), replace(SILENT, reply_to_turns=False)])
    def test_nobody_is_asked_unless_the_agent_wants_to(self, policy: TurnPolicy) -> None:
        talk = asked(policy)
        talk.answers()
        talk.wait(300)
        assert (talk.recited, talk.asks()) == ([], [])

    def test_with_the_protocols_own_timeout_only_the_provider_asks(self) -> None:
        talk = asked(replace(SILENT, idle_reported=True))
        talk.answers(ms=1_000)
        talk.wait(60)
        assert (talk.recited, talk.asks(), talk.all(c.HangUp)) == ([], [], [])
        talk.provider("input_audio_buffer.timeout_triggered", item_id="user_9")
        talk.provider("input_audio_buffer.committed", item_id="user_9")
        assert talk.seen[-2]["type"] == "input_audio_buffer.timeout_triggered"
        talk.answers("Is there anything else?", ms=1_000)
        talk.wait(60)
        assert (talk.recited, talk.asks(), talk.all(c.HangUp)) == ([], [], [])

    def test_what_the_provider_owes_after_its_timeout_is_made_up_for(self) -> None:
        talk = asked(replace(SILENT, idle_reported=True))
        talk.answers(ms=1_000)
        talk.wait(10)
        talk.provider("input_audio_buffer.timeout_triggered", item_id="user_9")
        talk.provider("input_audio_buffer.committed", item_id="user_9")
        talk.wait(8)
        assert talk.recited == [SILENT.apology]

    def test_nor_while_a_tool_runs(self) -> None:
        talk, call = calling(replace(TOOLS, idle_s=1.0))
        talk.wait(3)
        assert talk.recited == []
        talk.tool_gives(call)
        talk.answers()


class TestTwice:
    def test_events_that_come_twice_count_once(self) -> None:
        talk = Dialogue()
        for _ in range(2):
            talk.provider("input_audio_buffer.speech_started", item_id="user_1")
        for _ in range(2):
            talk.provider("input_audio_buffer.speech_stopped", item_id="user_1", ended_at=0.0)
        talk.begins(id="resp_1")
        talk.speaks("resp_1")
        talk.begins(id="resp_1")
        for _ in range(2):
            talk.ends("resp_1")
        talk.wait(3)
        kinds = [event["type"] for event in talk.seen]
        assert kinds.count("response.created") == kinds.count("response.done") == 1
        assert kinds.count("input_audio_buffer.speech_started") == 1
        assert talk.outcomes == [(1, "answered")]
        assert talk.asks() == []

    def test_what_is_unknown_goes_to_the_client_and_changes_nothing(self) -> None:
        talk = asked()
        talk.provider("response.something.new", response_id="resp_0", item_id="item_0")
        talk.provider("rate_limits.updated")
        talk.provider("whatever.else")
        talk.answers()
        talk.wait(3)
        assert talk.outcomes == [(1, "answered")]


HEARD = TurnPolicy(playout_reported=True)


class TestCutToWhatWasHeard:
    def test_as_the_transport_reports(self) -> None:
        talk = asked(HEARD, cuts=True)
        response = talk.begins()
        item = talk.speaks(response, "One two three four five six.", ms=3_000)
        talk.wait(2)
        talk.deliver(Played(item, 1_200.4))
        talk.caller_starts()
        [cut] = [event for event in talk.sent if event["type"] == "conversation.item.truncate"]
        assert (cut["item_id"], cut["audio_end_ms"], cut["content_index"]) == (item, 1200, 0)
        assert talk.all(r.ClearSound)
        [kept] = [each for each in talk.machine.items.replay() if each["id"] == item]
        assert kept["content"][0]["text"] == "One two"

    def test_as_it_is_reckoned_where_nobody_reports(self) -> None:
        talk = asked(TurnPolicy(), cuts=True)
        item = talk.speaks(talk.begins(), ms=3_000)
        talk.wait(1.5)
        talk.caller_starts()
        [cut] = [event for event in talk.sent if event["type"] == "conversation.item.truncate"]
        assert (cut["item_id"], cut["audio_end_ms"]) == (item, 1500)

    def test_what_was_heard_to_its_end_is_not_cut(self) -> None:
        talk = asked(TurnPolicy(), cuts=True)
        talk.answers(ms=1_000)
        talk.wait(3)
        talk.caller_starts()
        assert "conversation.item.truncate" not in [event["type"] for event in talk.sent]

    def test_what_was_said_from_memory_too(self) -> None:
        talk = Dialogue(TurnPolicy(), cuts=True)
        talk.deliver(SayRequested("One two three four five six."))
        talk.wait(0.5)
        talk.caller_starts()
        texts = [each["content"][0]["text"] for each in talk.machine.items.replay()]
        assert texts == ["One two three"]
        assert len(talk.items) == 1

    def test_a_client_that_cuts_for_itself_is_left_to_it(self) -> None:
        talk = asked()
        talk.speaks(talk.begins(), ms=3_000)
        talk.caller_starts()
        assert "conversation.item.truncate" not in [event["type"] for event in talk.sent]

    def test_a_caller_who_may_not_interrupt_cuts_nothing(self) -> None:
        talk = asked(TurnPolicy(interruptible=False), cuts=True)
        talk.speaks(talk.begins(), ms=3_000)
        talk.caller_starts()
        assert not talk.all(r.ClearSound)
        assert "conversation.item.truncate" not in [event["type"] for event in talk.sent]
