"""An agent for regions in processes of their own: it answers with how much the caller has said, how much of that
before the call was cut off, and which process has made its notes."""

import os
from collections.abc import AsyncIterator

from repartee import Agent, ReplyContext

agent = Agent(instructions="Be kind.", greeting="Good day, and welcome to our telephone line.")


@agent.reply
async def reply(ctx: ReplyContext) -> AsyncIterator[str]:
    """Counts the caller's words in what a model would be given."""
    said = [message["content"] for message in ctx.messages if message["role"] == "user"]
    here = [piece for piece in ctx.call.transcript if piece.who == "caller"]
    before = sum(piece.item_id.startswith("earlier_") for piece in here)
    noted = ctx.call.state.setdefault("process", os.getpid())
    notes = "my own" if noted == os.getpid() else "another's"
    yield f"In all you have said {len(said)} things, {before} of it before, as {notes} notes have it."
