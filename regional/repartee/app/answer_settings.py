"""The settings that say what an answer may cost, and how much of a conversation a model is shown."""

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings

from repartee.turn.context_window import CONTEXT_TOKENS
from repartee.turn.policy import TurnPolicy
from repartee.turn.speculation_budget import SPECULATION_TOKENS


class AnswerSettings(BaseSettings):
    """A part of the worker's Settings. Field descriptions are the documentation's."""

    context_tokens: int = Field(
        default=CONTEXT_TOKENS,
        ge=500,
        le=2_000_000,
        validation_alias=AliasChoices("REPARTEE_CONTEXT_TOKENS"),
        description="How much of a conversation the language model is shown, in estimated tokens. Tools' results go "
        "first, then the oldest turns; the instructions and the last two turns never.",
    )
    extra_requests: int = Field(
        default=TurnPolicy().extra_requests_per_turn,
        ge=0,
        le=100,
        validation_alias=AliasChoices("REPARTEE_EXTRA_REQUESTS"),
        description="Requests to the language model that one turn may cost beside its replies: hedges, speculations, "
        "retries, mended conversations, other vendors. Never more than the agent's tool_calls_per_turn and 6.",
    )
    speculation_tokens: int = Field(
        default=SPECULATION_TOKENS,
        ge=0,
        le=1_000_000_000,
        validation_alias=AliasChoices("REPARTEE_SPECULATION_TOKENS"),
        description="Tokens that one call may spend on replies that were begun too early and thrown away, estimated; "
        "after that it waits for each turn's end.",
    )
