"""What an author marks as secret is kept from models and clients on both kinds of call."""

from tests.contract.kinds.call import agent_for, on

from repartee import CallContext, Secret


async def test_what_a_tool_marks_reaches_nobody_else(kind: str) -> None:
    agent = agent_for(kind)
    revealed: list[str] = []

    @agent.tool
    async def get_balance(ctx: CallContext, pin: Secret[str] = "") -> dict[str, str]:
        """See how much money is in the account."""
        token = ctx.secret("tok-77-xyz")
        revealed.append(ctx.reveal(f"with {token}"))
        return {"token": token, "bare": "tok-77-xyz", "balance": "1240"}

    async with on(kind, agent) as call:
        await call.asks()
        assert await call.gives() == {"token": "[secret 1]", "bare": "[secret 1]", "balance": "1240"}
        await call.is_idle()
        assert revealed == ["with tok-77-xyz"]
        assert "tok-77" not in repr(call.caller.events)
        assert call.errors == []


async def test_a_caller_is_heard_again_once_digits_are_shown(kind: str) -> None:
    agent = agent_for(kind)

    @agent.on_call_start
    async def start(ctx: CallContext) -> None:
        ctx.hide_digits()

    @agent.tool
    async def get_balance(ctx: CallContext) -> dict[str, int]:
        """See how much money is in the account."""
        ctx.show_digits()
        return {"balance": 1240}

    async with on(kind, agent) as call:
        await call.asks()
        await call.is_idle()
        await call.speaks()
        assert (await call.caller.hears("repartee.turn.latency")).voice_to_voice_ms > 0
        assert call.errors == []
