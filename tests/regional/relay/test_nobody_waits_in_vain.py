"""Whatever a speech-to-speech model, a tool or a caller does, the caller hears an answer, an apology or company."""

from dataclasses import replace

import pytest
from tests.regional.relay.dialogue import PHRASE_MS, TOOLS, Dialogue

from repartee.agent.fillers import Fillers
from repartee.relay import commands as r
from repartee.turn import commands as c
from repartee.turn.policy import TurnPolicy

APOLOGY, MORE = TurnPolicy().apology, TurnPolicy().more
COMPANY = "One moment, please."


def asked(policy: TurnPolicy | None = None, **options: object) -> Dialogue:
    talk = Dialogue(policy, **options)  # type: ignore[arg-type]
    talk.caller_says()
    return talk


EMPTY = [
    ("completed", None),
    ("incomplete", "content_filter"),
    ("incomplete", "max_output_tokens"),
    ("failed", None),
]


class TestNothingToHear:
    @pytest.mark.parametrize(("status", "reason"), EMPTY)
    def test_it_is_asked_for_once_more_and_then_the_caller_hears_an_apology(
        self, status: str, reason: str | None
    ) -> None:
        talk = asked()
        for _ in range(2):
            talk.ends(talk.begins(), status, reason)
        assert len(talk.asks()) == 1
        assert talk.recited == [APOLOGY]
        assert [missing.asked_again for missing in talk.all(c.AnswerMissing)] == [True, False]
        assert [missing.reason for missing in talk.all(c.AnswerMissing)] == 2 * [
            reason or ("no words" if status == "completed" else status)
        ]
        talk.wait(3)
        assert talk.outcomes == [(1, "unanswered")]

    @pytest.mark.parametrize("ms", [0, 600])
    def test_words_without_a_sound_are_asked_for_again_and_are_no_part_of_the_conversation(
        self, ms: float
    ) -> None:
        talk = asked()
        response = talk.begins()
        item = talk.speaks(response, ms=ms, silent_ms=ms)
        talk.ends(response)
        assert len(talk.asks()) == 1
        assert item not in talk.items
        assert item not in [each["id"] for each in talk.machine.items.replay()]
        assert talk.all(c.AnswerMissing)[0].reason == "no sound"
        talk.answers()
        talk.wait(3)
        assert talk.recited == []
        assert talk.outcomes == [(1, "answered")]

    def test_what_was_filtered_after_it_began_is_not_shown_to_the_model_again(self) -> None:
        talk = asked()
        response = talk.begins()
        item = talk.speaks(response)
        talk.ends(response, "incomplete", "content_filter")
        assert item not in talk.items
        assert talk.asks() == []

    def test_a_response_that_is_refused(self) -> None:
        talk = asked()
        talk.ends(talk.begins())
        talk.refuses()
        assert talk.recited == [APOLOGY], "it was asked for again already"

    def test_a_clients_own_request_is_repeated_as_it_was(self) -> None:
        talk = Dialogue()
        talk.client_asks(instructions="Be brief.")
        talk.ends(talk.begins())
        assert [ask["response"] for ask in talk.asks()] == 2 * [{"instructions": "Be brief."}]

    def test_an_apology_that_is_not_recorded_is_the_models_and_else_the_call_ends(self) -> None:
        talk = asked(recorded=False)
        for _ in range(2):
            talk.ends(talk.begins())
        assert APOLOGY in talk.asks()[-1]["response"]["instructions"]
        talk.ends(talk.begins())
        assert [up.reason for up in talk.all(c.GiveUp)] == ["no words"]

    def test_an_apology_that_does_not_come_ends_the_call_too(self) -> None:
        talk = asked(recorded=False)
        for _ in range(2):
            talk.ends(talk.begins())
        talk.wait(1.9)
        assert not talk.all(c.GiveUp)
        talk.wait(0.2)
        assert talk.all(c.GiveUp)

    def test_nothing_is_said_where_nothing_is_to_be(self) -> None:
        talk = asked(TurnPolicy(apology=""))
        talk.wait(20)
        assert talk.recited == []

    @pytest.mark.parametrize("reason", ["turn_detected", "client_cancelled"])
    def test_what_somebody_has_stopped_is_not_made_up_for(self, reason: str) -> None:
        talk = asked()
        talk.ends(talk.begins(), "cancelled", reason)
        talk.wait(20)
        assert (talk.recited, talk.asks()) == ([], [])


class TestEightSeconds:
    @pytest.mark.parametrize("begun", [False, True])
    def test_they_count_from_the_callers_last_word(self, begun: bool) -> None:
        talk = asked()
        last_word = talk.now - 0.25
        if begun:
            talk.begins()
        talk.wait(last_word + 6.9 - talk.now)
        assert talk.recited == []
        talk.wait(1)
        assert talk.recited == [APOLOGY]
        assert talk.heard_at[0] - last_word <= 8

    def test_they_count_from_the_last_sound_of_an_answer_that_stops(self) -> None:
        talk = asked()
        response = talk.begins()
        talk.speaks(response, ms=2_000)
        ends_at = talk.now + 2
        talk.wait(ends_at + 6.9 - talk.now)
        assert talk.recited == []
        talk.wait(0.2)
        assert talk.recited == [APOLOGY]
        [cut] = talk.all(r.CutResponse)
        assert (cut.response_id, cut.code) == (response, "answer_overdue")

    def test_what_comes_of_it_later_is_dropped(self) -> None:
        talk = asked()
        response = talk.begins()
        talk.wait(8)
        seen = len(talk.seen)
        talk.speaks(response)
        talk.ends(response, "cancelled", "client_cancelled")
        assert [event["type"] for event in talk.seen[seen:]] == ["conversation.item.added"]
        assert talk.all(r.PlaySound) == []

    def test_all_responses_to_a_turn_share_them(self) -> None:
        talk = asked()
        talk.wait(4)
        talk.ends(talk.begins())
        talk.wait(2.7)
        assert talk.recited == []
        talk.wait(0.1)
        assert talk.recited == [APOLOGY]

    @pytest.mark.parametrize(
        "policy", [TurnPolicy(reply_to_turns=False), TurnPolicy(automatic=False, reply_to_turns=False)]
    )
    def test_they_bind_no_turn_that_the_client_answers(self, policy: TurnPolicy) -> None:
        talk = asked(policy)
        talk.wait(30)
        assert (talk.recited, talk.asks()) == ([], [])

    def test_they_do_not_bind_a_client_that_runs_a_tool(self) -> None:
        talk = asked(TOOLS)
        response = talk.begins()
        talk.calls(response, "theirs")
        talk.ends(response)
        talk.wait(60)
        assert (talk.recited, talk.asks()) == ([], [])

    def test_a_caller_who_speaks_on_is_not_apologised_to(self) -> None:
        talk = asked()
        talk.wait(6)
        talk.caller_starts()
        talk.wait(6)
        assert talk.recited == []


class TestTools:
    @pytest.mark.parametrize("limit", [1, 3, 8])
    def test_past_the_limit_it_is_asked_without_tools_and_then_the_caller_hears_an_apology(
        self, limit: int
    ) -> None:
        talk = asked(replace(TOOLS, tool_calls_per_turn=limit))
        response = talk.begins()
        for number in range(limit):
            assert all("response" not in ask for ask in talk.asks())
            call = talk.calls(response)
            talk.ends(response)
            talk.tool_gives(call)
            assert len(talk.asks()) == number + 1
            response = talk.begins()
        assert talk.asks()[-1]["response"] == {"tool_choice": "none"}
        talk.calls(response)
        talk.ends(response)
        assert len(talk.all(c.RunTool)) == limit
        assert talk.recited == [APOLOGY]
        assert len(talk.asks()) + 1 <= limit + 2

    def test_a_call_that_comes_twice_runs_once(self) -> None:
        talk = asked(TOOLS)
        response = talk.begins()
        for _ in range(2):
            talk.calls(response, call_id="call_1")
        talk.ends(response)
        talk.tool_gives("call_1")
        talk.answers()
        assert len(talk.all(c.RunTool)) == 1

    def test_a_function_that_nobody_has_declared_is_refused_and_the_client_never_knows(self) -> None:
        talk = asked(TOOLS)
        response = talk.begins()
        call = talk.calls(response, "no_such_thing")
        item = {"id": f"fc_{call}", "type": "function_call", "name": "no_such_thing", "call_id": call}
        talk.ends(response, output=[item])
        assert [run.name for run in talk.all(c.RunTool)] == ["no_such_thing"]
        talk.tool_gives(call, '{"error": "There is no such tool."}')
        talk.answers()
        assert call not in str(talk.seen)
        assert [event["type"] for event in talk.seen].count("response.done") == 2

    def test_a_response_of_the_clients_with_functions_of_its_own(self) -> None:
        talk = Dialogue(TOOLS)
        talk.client_asks(tools=[{"type": "function", "name": "only_now"}])
        response = talk.begins()
        talk.calls(response, "only_now")
        talk.calls(response, "theirs")
        talk.ends(response)
        assert [run.name for run in talk.all(c.RunTool)] == ["theirs"], "which is not declared for this one"
        assert "only_now" in str(talk.seen)


def calling(policy: TurnPolicy = TOOLS, **fillers: list[str]) -> tuple[Dialogue, str]:
    """A tool runs."""
    talk = Dialogue(policy, Fillers(fillers, company=COMPANY))
    talk.caller_says()
    response = talk.begins()
    call = talk.calls(response)
    talk.ends(response)
    return talk, call


class TestUntold:
    @pytest.mark.parametrize("words", ["Okay, thank you.", "Mhm.", "", "What else is there?", None])
    @pytest.mark.parametrize("late", [False, True], ids=["during the answer to that", "after it"])
    def test_what_a_tool_gives_is_told_once_whatever_the_caller_says_meanwhile(
        self, words: str | None, late: bool
    ) -> None:
        talk, call = calling()
        talk.caller_starts()
        talk.caller_stops(words)
        response = talk.begins()
        talk.speaks(response, "All right.")
        if not late:
            talk.tool_gives(call, "it failed")
        talk.ends(response)
        talk.wait(3)
        if late:
            talk.tool_gives(call, "it failed")
        assert len(talk.asks()) == 1
        talk.answers("It could not be booked.")
        talk.wait(30)
        assert len(talk.asks()) == 1

    def test_while_the_caller_speaks_it_waits(self) -> None:
        talk, call = calling()
        talk.caller_starts()
        talk.tool_gives(call)
        assert talk.asks() == []
        talk.caller_stops("Okay.")
        assert talk.asks() == [], "the provider answers by itself"
        talk.answers("All right, it is ten pounds.")
        talk.wait(30)
        assert talk.asks() == [], "that answer was made with the result"

    def test_an_answer_that_began_before_the_result_does_not_tell_it(self) -> None:
        talk, call = calling()
        talk.caller_says("Okay.")
        response = talk.begins()
        talk.tool_gives(call)
        talk.speaks(response, "All right.")
        talk.ends(response)
        assert len(talk.asks()) == 1

    def test_one_that_was_cut_off_before_it_was_heard_is_told_again(self) -> None:
        talk, call = calling()
        talk.tool_gives(call)
        response = talk.begins()
        talk.caller_starts()
        talk.ends(response, "cancelled", "turn_detected")
        talk.caller_stops("Hello?")
        talk.answers("Yes, it is ten pounds.")
        talk.wait(10)
        assert len(talk.asks()) == 1

    def test_a_client_that_cancels_hears_no_more_of_it(self) -> None:
        talk, call = calling()
        talk.client("response.cancel")
        talk.tool_gives(call)
        talk.wait(30)
        assert talk.asks() == []

    def test_a_response_that_the_provider_began_by_itself_is_no_error(self) -> None:
        talk, call = calling()
        talk.tool_gives(call)
        response = talk.begins()
        talk.refuses("conversation_already_has_active_response")
        talk.speaks(response, "Hello.")
        talk.ends(response)
        assert len(talk.asks()) == 2, "it had begun before, and has not told the result"
        talk.answers()
        talk.wait(30)
        assert len(talk.asks()) == 2

    def test_the_wait_goes_on_and_so_does_the_company(self) -> None:
        talk, _ = calling()
        talk.caller_says("Okay, thank you.")
        talk.answers("You are welcome.", ms=1_000)
        talk.wait(6.5)
        assert talk.recited == [COMPANY]
        talk.wait(20)
        gaps = [b - a for a, b in zip(talk.heard_at, talk.heard_at[1:], strict=False)]
        assert max(gaps) <= 8 + PHRASE_MS / 1000


class TestLength:
    def test_the_caller_hears_that_there_is_more(self) -> None:
        talk = asked()
        response = talk.begins()
        talk.speaks(response)
        talk.ends(response, "incomplete", "max_output_tokens")
        assert talk.recited == [MORE]
        known = [event["item"] for event in talk.sent if event["type"] == "conversation.item.create"]
        assert [item["content"][0]["text"] for item in known] == [MORE]
