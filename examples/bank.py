"""A bank's telephone line: who is calling, what is on the account, and what was paid lately.

    repartee region --agent examples/bank.py --allow-anonymous

The numbers live in a small SQLite file that is made when it is first needed.
"""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from repartee import Agent, CallContext, ToolError

DATABASE = Path(tempfile.gettempdir()) / "repartee-bank.sqlite3"

SEED = """
CREATE TABLE IF NOT EXISTS customers (customer_id TEXT PRIMARY KEY, name TEXT, phone TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS accounts (
    customer_id TEXT, account TEXT, balance REAL, PRIMARY KEY (customer_id, account));
CREATE TABLE IF NOT EXISTS payments (id INTEGER PRIMARY KEY, customer_id TEXT, day TEXT, merchant TEXT, amount REAL);
INSERT OR IGNORE INTO customers VALUES ('C-1001', 'Anna Keller', '+15550100'), ('C-1002', 'Tom Reed', '+15550101');
INSERT OR IGNORE INTO accounts VALUES
    ('C-1001', 'checking', 1240.5), ('C-1001', 'savings', 8300), ('C-1002', 'checking', 87.2);
INSERT OR IGNORE INTO payments VALUES
    (1, 'C-1001', 'monday', 'the electricity company', 80), (2, 'C-1001', 'wednesday', 'the bakery', 12),
    (3, 'C-1001', 'thursday', 'the grocer', 54), (4, 'C-1002', 'friday', 'the bookshop', 23.9);
"""

NOBODY = "+15550100"
"""Who is calling when no telephone number came with the call, as from a laptop."""

agent = Agent(
    instructions=(
        "You answer the telephone of Linden and Ash, a small bank. Speak in two or three short sentences. Look the "
        "caller up before you talk about an account. Never guess a number: say what the tools told you."
    ),
    greeting="Linden and Ash, good day. What can I do for you?",
    keyterms=["checking", "savings"],
    predictions={
        "greeting": "lookup_customer",
        ("account", "balance", "money"): "get_balance",
        ("transaction", "payment", "spend", "spent", "buy"): "get_recent_transactions",
    },
)


@agent.tool(read_only=True, filler=["Let me find you in our books.", "One moment, I am looking you up."])
async def lookup_customer(ctx: CallContext) -> dict[str, Any]:
    """Find the customer who is calling, by the number they are calling from."""
    found = await query("SELECT customer_id, name FROM customers WHERE phone = ?", caller(ctx))
    if not found:
        raise ToolError("Nobody is known under the number the caller is calling from.")
    return found[0]


@agent.tool(read_only=True, filler=["Let me pull up your account.", "I am just opening your account."])
async def get_balance(
    ctx: CallContext, customer_id: str, account: Literal["checking", "savings"] = "checking"
) -> dict[str, Any]:
    """Get the balance of one of the caller's accounts.

    Args:
        customer_id: As lookup_customer gave it.
        account: Which account.
    """
    found = await query(
        "SELECT account, balance, 'USD' AS currency FROM accounts JOIN customers USING (customer_id)"
        " WHERE customer_id = ? AND phone = ? AND account = ?",
        *(customer_id, caller(ctx), account),
    )
    if not found:
        raise ToolError(f"The caller has no {account} account.")
    return found[0]


@agent.tool(
    read_only=True, filler=["Let me look at your payments.", "I am going through your last payments."]
)
async def get_recent_transactions(
    ctx: CallContext, customer_id: str, limit: Annotated[int, Field(ge=1, le=10)] = 3
) -> dict[str, Any]:
    """Get the caller's latest payments, the newest first.

    Args:
        customer_id: As lookup_customer gave it.
        limit: How many.
    """
    found = await query(
        "SELECT day, merchant, amount, 'USD' AS currency FROM payments JOIN customers USING (customer_id)"
        " WHERE customer_id = ? AND phone = ? ORDER BY id DESC LIMIT ?",
        *(customer_id, caller(ctx), limit),
    )
    return {"transactions": found}


def caller(ctx: CallContext) -> str:
    """The caller's number. The session's ticket vouches for it: nobody can talk their way into another's account."""
    return str(ctx.verified.get("phone", NOBODY))


async def query(sql: str, *values: Any) -> list[dict[str, Any]]:
    """Rows by column; in a thread, as SQLite blocks."""
    return await asyncio.to_thread(_query, sql, values)


def _query(sql: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(DATABASE)) as db:
        db.executescript(SEED)
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(sql, values)]
