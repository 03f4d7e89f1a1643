"""An agent for regions in processes of their own: it says so to callers whom it had lost, and lets them go."""

from repartee import Agent, CallContext

agent = Agent(instructions="Be kind.", greeting="Good day, and welcome to our telephone line.")


@agent.on_call_start
async def begin(ctx: CallContext) -> None:
    """A call that another region has lost begins with an apology."""
    if "resumed" in ctx.verified:
        ctx.greeting = "We were cut off."
        ctx.hang_up("Please call again.")
