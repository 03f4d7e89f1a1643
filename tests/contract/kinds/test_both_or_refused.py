"""What an author can write does the same on both kinds of call, or is refused at the start by its name."""

from tests.contract.kinds.call import HOURS, SPEECH_TO_SPEECH, agent_for, on

from repartee import CallContext


async def test_what_a_model_is_no_longer_shown_is_summed_up_by_the_author(kind: str) -> None:
    agent = agent_for(kind)
    given: list[str] = []

    @agent.summary
    async def summary(ctx: CallContext, words: str) -> str:
        given.append(words)
        return "The caller is called Marta."

    async with on(kind, agent, REPARTEE_CONTEXT_TOKENS="500") as call:
        for number in range(1, 6):
            await call.asks(f"{HOURS} Marta here, for the {number}. time. " + "I say it again. " * 40)
            await call.is_idle()
            assert len(call.said) == number
        if kind == SPEECH_TO_SPEECH:
            assert not given, "such a model keeps its own conversation"
            return
        assert "Caller: What are your opening hours? Marta here, for the 1. time." in given[0]
        shown = [str(message["content"]) for message in call.wire.requests[-1].messages]
        assert any("The caller is called Marta." in text for text in shown)
        assert not any("for the 1. time" in text for text in shown)
        assert call.errors == []


async def test_what_is_written_is_what_the_client_reads(kind: str) -> None:
    agent = agent_for(kind, greeting="It costs $12.50, **really**.", voice_text="spoken")
    async with on(kind, agent) as call:
        assert await call.hears_said("12.50") == "It costs $12.50, **really**."
