"""Ids that nobody can guess: the edge's one source of randomness, so that nothing that decides draws any."""

import secrets


def ticket_id() -> str:
    """What tells a ticket from every other, so that it is used once: 16 random bytes."""
    return secrets.token_urlsafe(16)


def session_id() -> str:
    """An id in the form of OpenAI's, for a session that a client secret describes."""
    return f"sess_{secrets.token_hex(12)}"
