"""What a reply has used: known at its end, and the only thing that its end may wait for once all of it was sent."""

from tests.regional.turn.conversation import Conversation

from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.policy import TurnPolicy
from repartee.turn.usage import TokenUsage

USED = TokenUsage(input_tokens=90, output_tokens=12, cached_tokens=64)


def asked(*, spoken: bool = True) -> Conversation:
    talk = Conversation(TurnPolicy(spoken=spoken))
    talk.caller_says("When do you open?")
    return talk


def test_a_written_answer_ends_when_it_was_counted() -> None:
    talk = asked(spoken=False)
    talk.model_writes("At nine.")
    talk.send(e.ReplyDone(talk.reply, "stop", usage_follows=True))
    assert talk.all(c.ReplyEnded) == []
    talk.send(e.ReplyUsed(talk.reply, USED))
    assert talk.last(c.ReplyEnded).tokens == USED


def test_it_ends_too_if_nobody_has_counted_it() -> None:
    talk = asked(spoken=False)
    talk.model_writes("At nine.")
    talk.send(e.ReplyDone(talk.reply, "stop", usage_follows=True))
    talk.send(e.ReplyUsed(talk.reply, None))
    assert talk.last(c.ReplyEnded).tokens is None
    assert talk.last(c.ReplyEnded).status == "completed"


def test_the_voice_does_not_wait_for_it() -> None:
    talk = asked()
    talk.model_writes("At nine.")
    said = talk.send(e.ReplyDone(talk.reply, "stop", usage_follows=True))
    assert [command for command in said if isinstance(command, c.Say)][-1].last
    talk.send(e.VoiceUsed(talk.reply, 8))
    talk.send(e.ReplyUsed(talk.reply, USED))
    assert talk.all(c.ReplyEnded) == []
    talk.voice_speaks(500)
    talk.voice_ends()
    ended = talk.last(c.ReplyEnded)
    assert (ended.tokens, ended.characters) == (USED, 8)


def test_nor_does_an_own_tool_or_the_reply_that_follows_it() -> None:
    talk = Conversation(TurnPolicy(tools=frozenset({"look_up"})))
    talk.caller_says("What is my balance?")
    talk.model_calls("call_1")
    assert talk.all(c.RunTool)
    talk.send(e.ReplyDone(talk.reply, "tool_calls", usage_follows=True))
    talk.tool_gives("call_1", "12")
    assert len(talk.all(c.StartReply)) == 2
    talk.send(e.ReplyUsed(1, USED))
    assert talk.last(c.ReplyEnded).tokens == USED


def test_an_answer_that_is_cut_has_used_what_the_voice_was_given() -> None:
    talk = asked()
    talk.model_writes("We open at nine, and we close at five in the afternoon.")
    talk.send(e.VoiceUsed(talk.reply, 55))
    talk.voice_speaks(3_000)
    talk.wait(1)
    talk.caller_starts("No, wait a moment")
    ended = talk.last(c.ReplyEnded)
    assert (ended.status, ended.tokens, ended.characters) == ("cancelled", None, 55)


def test_a_server_that_never_counts_does_not_keep_the_caller_from_the_answer() -> None:
    """Whoever feeds the core is to say that there is no figure; if they do not, the turn's own time ends the wait."""
    talk = asked(spoken=False)
    talk.model_writes("At nine.")
    talk.send(e.ReplyDone(talk.reply, "stop", usage_follows=True))
    talk.wait(20)
    assert talk.last(c.ReplyEnded).status == "completed"
