"""The agent that answers in `repartee up` and `repartee demo` when no other is named: the front desk of a small bank.

Its books are made up and live in this file; its tools are as slow as real ones are, so that one hears and sees what
becomes of the wait.
"""

import asyncio
from typing import Any, Literal

from repartee import Agent, CallContext

LOOKUP_S = 0.3
"""What finding a customer takes."""

BOOKS_S = 0.8
"""What a look into an account takes."""

COLLEAGUE = "+15550111"
"""Who takes over from the agent, on the telephone."""

CUSTOMER = {"customer_id": "C-1001", "customer_name": "Anna Keller"}
BALANCES = {"checking": 1240.5, "savings": 8300.0}
PAYMENTS = [
    {"day": "Monday", "merchant": "the electricity company", "amount": 80},
    {"day": "Wednesday", "merchant": "the bakery", "amount": 12},
    {"day": "Thursday", "merchant": "the grocer", "amount": 54},
]

agent = Agent(
    instructions=(
        "You are the front desk of Linden and Ash, a small bank on Mill Street. Open Monday to Friday from 8:30 to "
        "18:00, Saturday until noon. Look the caller up before you talk about an account. Never guess a number."
    ),
    name="Linden and Ash",
    suggestions=[
        "What are your opening hours?",
        "What is the balance of my account?",
        "What were my last transactions?",
        "Is there parking?",
        "How do you work?",
    ],
    keyterms=["Linden and Ash", "checking", "savings"],
    predictions={
        "greeting": ["lookup_customer", "get_balance"],
        ("account", "balance"): "get_balance",
    },
)


@agent.tool(read_only=True, filler="One moment, I am looking you up.")
async def lookup_customer() -> dict[str, Any]:
    """Find the customer who is calling, by the number they are calling from."""
    await asyncio.sleep(LOOKUP_S)
    return CUSTOMER


@agent.tool(read_only=True, filler="Let me pull up your account.")
async def get_balance(
    customer_id: str, account: Literal["checking", "savings"] = "checking"
) -> dict[str, Any]:
    """Get the balance of one of the caller's accounts.

    Args:
        customer_id: As lookup_customer gave it.
        account: Which account.
    """
    await asyncio.sleep(BOOKS_S)
    return {"account": account, "balance": BALANCES[account], "currency": "USD"}


@agent.tool(read_only=True, filler=["Let me look at your last payments.", "I am just getting your payments."])
async def get_recent_transactions(customer_id: str) -> dict[str, Any]:
    """Get the caller's last payments.

    Args:
        customer_id: As lookup_customer gave it.
    """
    await asyncio.sleep(BOOKS_S)
    return {"transactions": PAYMENTS}


@agent.on_dtmf(digits=1)
async def on_key(ctx: CallContext, digits: str) -> None:
    """The keypad of a telephone."""
    if digits == "1":
        ctx.say("We are open Monday to Friday from half past eight to six.")
    elif digits == "0" and "transfer" in ctx.can:
        ctx.transfer(COLLEAGUE, "I am connecting you to a colleague.")
    elif digits == "9":
        ctx.hang_up("Thank you for calling. Goodbye.")
    else:
        ctx.say("Press one for our opening hours, zero for a colleague, or nine to end the call.")
