"""The agent that the clients call: it has a tool of its own, and says more than a breath when asked how it works."""

from repartee import Agent

agent = Agent(
    "You are the front desk of a small bank. Open Monday to Friday from 8:30 to 18:00. Never guess a number.",
    max_tokens=200,
)


@agent.tool(read_only=True)
async def get_balance() -> dict[str, object]:
    """Get the balance of the caller's account."""
    return {"balance": 1240, "currency": "USD"}
