"""How a reply ended, in the words of the protocol. Pure functions."""

from repartee.turn import commands as c
from repartee.turn.reply import Reply


def lack_of(reply: Reply) -> str | None:
    """Why the reply, which is over, leaves the caller with nothing: no sound, no client's tool to wait for."""
    if reply.failure:
        return None if reply.audible else reply.failure
    return None if reply.calls else reply.missing


def end_of(reply: Reply, status: c.ReplyStatus, reason: str | None) -> c.ReplyEnded:
    """The reply is over."""
    message = reply.message if reply.in_history else None
    return c.ReplyEnded(
        reply.reply_id, reply.turn_id, status, message, reason, reply.tokens, reply.characters
    )


def settled(reply: Reply, *, asked_again: bool) -> list[c.Command]:
    """How a reply ended that nobody has stopped. What nobody heard of it is not in the history."""
    unheard: list[c.Command] = []
    if reply.message.spoken and reply.in_history and not reply.audible:
        reply.message.heard_ms = 0.0
        unheard.append(c.AnswerCut(reply.message.item_id, 0.0, ""))
    return [*unheard, end_of(reply, *status_of(reply, asked_again=asked_again))]


def status_of(reply: Reply, *, asked_again: bool) -> tuple[c.ReplyStatus, str | None]:
    """How a reply ended that nobody has stopped, and why if it is not complete. ``asked_again``: it may be empty."""
    if reply.failure:
        return "failed", reply.failure
    if reply.model_reason == "content_filter":
        return "incomplete", "content_filter"
    if reply.model_reason == "length":
        return "incomplete", "max_output_tokens"
    if not asked_again and not reply.recited and (reason := lack_of(reply)):
        return "failed", f"There is nothing to hear: {reason}."
    return "completed", None
