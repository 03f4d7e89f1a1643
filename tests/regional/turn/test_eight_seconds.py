"""From the caller's last word, or the agent's last sound, to the next it is never longer than eight seconds, whatever
is tried in between."""

from dataclasses import replace

import pytest
from tests.regional.turn.conversation import Conversation

from repartee.agent.fillers import Fillers
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.history import FunctionOutput
from repartee.turn.policy import TurnPolicy

APOLOGY = TurnPolicy().apology
COMPANY = "One moment, please."


TOOLS = TurnPolicy(tools=frozenset({"look_up"}), company=COMPANY)


class Remembered(Conversation):
    """What is urgent is played from memory. ``sounds_at`` says when a sound began."""

    def __init__(self, policy: TurnPolicy) -> None:
        super().__init__(policy, Fillers({"look_up": ("Let me look.",)}, company=COMPANY))
        self.sounds_at: list[tuple[float, str]] = []

    def send(self, event: e.Event) -> list[c.Command]:
        commands = super().send(event)
        for command in commands:
            if isinstance(command, c.Say) and command.urgent:
                self.sounds_at.append((round(self.now - self.last_word, 3), command.text))
                self.voice_speaks(1200, command.reply_id)
                self.voice_ends(command.reply_id)
        return commands

    def asked(self, late_s: float = 0.25) -> "Remembered":
        """A question whose end recognition tells so late."""
        self.caller_starts("What")
        self.last_word = self.now
        self.wait(late_s)
        self.caller_ends("What is my balance?", self.last_word)
        return self


def calls_tool(talk: Conversation) -> None:
    talk.model_calls("call_1")
    talk.model_ends("tool_calls")


def test_words_of_the_agents_whose_voice_fails_do_not_leave_the_next_answer_its_own_time() -> None:
    talk = Remembered(TOOLS).asked()
    talk.wait(6)
    calls_tool(talk)
    talk.send(e.SayRequested("I am still looking."))
    talk.tool_gives("call_1", "ten")
    answer = talk.last(c.StartReply).reply_id
    talk.wait(1.55)
    assert talk.sounds_at == [(7.8, COMPANY)]
    talk.agent_says("It is ten pounds.", reply=answer)
    talk.wait(5)
    assert talk.outcomes == [(1, "answered")]
    assert talk.told[-1] == "assistant: It is ten pounds."


def test_nor_do_answers_that_follow_each_other_and_are_all_late() -> None:
    """Each calls a tool and is not over: its figures are awaited."""
    talk = Remembered(TOOLS).asked()
    talk.wait(6.5)
    for number in range(4):
        talk.model_calls(f"call_{number}")
        talk.send(e.ReplyDone(talk.reply, "tool_calls", usage_follows=True))
        talk.tool_gives(f"call_{number}", "ten")
        talk.wait(0.3)
    assert talk.sounds_at == [(7.0, COMPANY)]


def test_where_there_is_no_company_they_end_with_the_apology() -> None:
    talk = Remembered(replace(TOOLS, company="")).asked()
    talk.wait(6)
    calls_tool(talk)
    talk.send(e.SayRequested("I am still looking."))
    talk.tool_gives("call_1", "ten")
    talk.wait(1.6)
    assert talk.sounds_at == [(7.8, APOLOGY)]
    talk.wait(3)
    assert talk.outcomes == [(1, "unanswered")]


def test_a_filler_whose_voice_fails_is_replaced_from_memory() -> None:
    talk = Remembered(TOOLS).asked()
    talk.wait(6.6)
    calls_tool(talk)
    talk.wait(0.2)
    assert talk.said() == ["Let me look."]
    talk.wait(1)
    assert talk.sounds_at == [(7.8, COMPANY)]
    talk.wait(6)
    assert talk.said() == [COMPANY], "it waits on, and is not alone"


def waits_for_a_tool_without_memory() -> Conversation:
    """Five seconds after the caller's last word; nothing is in memory."""
    policy = replace(TOOLS, company="", apology_at_hand=False)
    talk = Conversation(policy, Fillers({}, company=COMPANY))
    talk.caller_says("What is my balance?")
    talk.wait(4.75)
    calls_tool(talk)
    return talk


def test_a_caller_to_whom_no_voice_can_speak_while_a_tool_runs_is_not_kept() -> None:
    talk = waits_for_a_tool_without_memory()
    talk.wait(2.9)
    assert talk.said() == [COMPANY]
    assert not talk.all(c.GiveUp)
    talk.wait(0.2)
    assert len(talk.all(c.GiveUp)) == 1, "8 s after the last word"
    assert len(talk.all(c.Say)) == 1


def test_nor_is_one_whose_voice_fails_later_in_the_wait() -> None:
    talk = waits_for_a_tool_without_memory()
    talk.wait(1.1)
    spoken = talk.last(c.Say).reply_id
    talk.voice_speaks(1200, spoken)
    talk.voice_ends(spoken)
    heard_until = talk.now + 1.2
    talk.wait(7.8)
    assert not talk.all(c.GiveUp)
    talk.wait(heard_until + 8.1 - talk.now)
    assert len(talk.all(c.GiveUp)) == 1


def test_a_filler_that_fails_early_is_tried_again_while_there_is_time() -> None:
    talk = waits_for_a_tool_without_memory()
    talk.wait(1.1)
    talk.send(e.ReplyFailed(talk.last(c.Say).reply_id, "tts", "lost"))
    talk.wait(0.1)
    assert len(talk.all(c.Say)) == 2
    assert not talk.all(c.GiveUp)


@pytest.mark.parametrize("late_s", [7.0, 7.9, 12.0])
def test_a_turn_that_is_recognised_too_late_hears_company_and_then_the_answer(late_s: float) -> None:
    talk = Remembered(TOOLS).asked(late_s)
    assert talk.sounds_at == [(late_s, COMPANY)]
    answer = talk.last(c.StartReply).reply_id
    talk.wait(6)
    talk.agent_says("It is ten pounds.", reply=answer)
    talk.wait(3)
    assert talk.outcomes == [(1, "answered")]


def test_without_company_one_that_nobody_could_ask_for_in_time_has_its_own() -> None:
    talk = Remembered(replace(TOOLS, company="")).asked(12)
    talk.wait(1.9)
    assert talk.sounds_at == []
    talk.wait(0.1)
    assert talk.sounds_at == [(14.0, APOLOGY)]


def test_an_answer_that_is_there_needs_no_company() -> None:
    talk = Remembered(TOOLS)
    talk.caller_starts("What")
    talk.last_word = talk.now
    talk.wait(7.2)
    talk.caller_pauses("What is my balance?", talk.last_word)
    talk.model_writes("It is ten pounds.")
    talk.voice_speaks(1000)
    talk.caller_ends("What is my balance?", talk.last_word)
    assert talk.sounds_at == []
    assert talk.last(c.Play)


def test_a_client_that_answers_by_itself_may_take_its_time() -> None:
    talk = Remembered(replace(TOOLS, reply_to_turns=False)).asked()
    talk.wait(20)
    talk.send(e.ReplyRequested())
    talk.wait(6.9)
    assert talk.sounds_at == []
    talk.wait(0.1)
    assert talk.sounds_at == [(27.25, APOLOGY)]


def test_nor_does_the_time_that_a_clients_tool_takes_count() -> None:
    talk = Remembered(replace(TOOLS, client_tools=frozenset({"theirs"}))).asked()
    talk.model_calls("call_1", "theirs")
    talk.model_ends("tool_calls")
    talk.wait(20)
    talk.send(e.ItemCreated(FunctionOutput("", "call_1", "ten")))
    talk.send(e.ReplyRequested())
    talk.wait(6.5)
    assert talk.sounds_at == []
    talk.agent_says("It is ten pounds.")
    talk.wait(3)
    assert talk.outcomes == [(1, "answered")]


def test_an_apology_that_must_be_spoken_begins_earlier_and_who_cannot_be_told_in_time_is_not_kept() -> None:
    talk = Conversation(TurnPolicy(apology_at_hand=False))
    talk.caller_says("What is my balance?")
    last_word = talk.now - 0.25
    talk.wait(last_word + 6 - talk.now)
    assert talk.said() == [APOLOGY]
    talk.wait(1.9)
    assert not talk.all(c.GiveUp)
    talk.wait(0.1)
    assert talk.all(c.GiveUp)
    assert talk.now - last_word <= 8


@pytest.mark.parametrize("at_hand", [True, False])
@pytest.mark.parametrize("asked_after_s", [0.0, 3.0, 6.0, 6.9, 7.7, 7.9])
def test_the_arithmetic(at_hand: bool, asked_after_s: float) -> None:
    """An apology from memory is heard at once, one that is spoken within ``apology_s``."""
    policy = TurnPolicy(apology_at_hand=at_hand)
    overdue = max(policy.overdue_at(100.0, 100.0 + asked_after_s), 100.0 + asked_after_s)
    if at_hand or asked_after_s <= policy.patience_s:
        assert overdue + (0 if at_hand else policy.apology_s) <= 108.0
