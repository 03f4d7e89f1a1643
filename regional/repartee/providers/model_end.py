"""When OpenAI, or a compatible server, will shut a model down, as the server says."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from openai import AsyncOpenAI, OpenAIError

from repartee.errors import VoiceError


async def shutdown_date(client: AsyncOpenAI, model: str) -> date | None:
    """The day in the model's own description (``shutdown_date``); None if there is none, or no answer."""
    try:
        described = await client.models.retrieve(model)
    except (OpenAIError, VoiceError, ValueError):
        return None
    return day_of(getattr(described, "shutdown_date", None))


def day_of(said: object) -> date | None:
    """A day as seconds since 1970, or as a text that begins with it; None for what is neither.

    A text in another object counts too: ``{"date": "2027-01-14"}``.
    """
    try:
        if isinstance(said, Mapping):
            return next((day for day in map(day_of, said.values()) if day), None)
        if isinstance(said, bool):
            return None
        if isinstance(said, int | float):
            return datetime.fromtimestamp(said, UTC).date()
        return date.fromisoformat(said[:10]) if isinstance(said, str) else None
    except (ValueError, OverflowError, OSError):
        return None
