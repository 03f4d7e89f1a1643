"""What was said in a call, for its author: the same on both kinds of call."""

from tests.contract.kinds.call import agent_for, on

from repartee import CallContext


async def test_the_author_has_what_was_said_at_the_calls_end(kind: str) -> None:
    agent = agent_for(kind)
    told: list[tuple[str, str]] = []

    @agent.on_call_end
    async def keep(ctx: CallContext) -> None:
        told.extend((said.who, said.text) for said in ctx.transcript)

    async with on(kind, agent, profile="budget") as call:
        await call.speaks()
        await call.caller.hears("repartee.turn.latency")
        await call.caller.hears("response.done")
    assert {who for who, text in told if text} == {"caller", "agent"}
