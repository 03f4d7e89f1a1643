"""The settings that say how much one client may take of a worker."""

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings


class ClientSettings(BaseSettings):
    """A part of the worker's Settings. Field descriptions are the documentation's."""

    loop_messages: int = Field(
        default=64,
        ge=1,
        le=10_000,
        validation_alias=AliasChoices("REPARTEE_LOOP_MESSAGES"),
        description="So many messages of one client are taken before the other clients have their turn.",
    )
    loop_ms: float = Field(
        default=5.0,
        gt=0,
        le=1_000,
        validation_alias=AliasChoices("REPARTEE_LOOP_MS"),
        description="So long, in ms, one client's messages are taken before the other clients have their turn.",
    )
    messages_per_s: float = Field(
        default=500.0,
        ge=50,
        le=100_000,
        validation_alias=AliasChoices("REPARTEE_MESSAGES_PER_S"),
        description="Messages a second that one client may send (pings and fragments count); one that goes on to "
        "send more is disconnected with 1008.",
    )
    messages_burst_s: float = Field(
        default=10.0,
        ge=1,
        le=600,
        validation_alias=AliasChoices("REPARTEE_MESSAGES_BURST_S"),
        description="What a client did not send of that in the last so many seconds it may send at once.",
    )
    audio_event_s: float = Field(
        default=60.0,
        gt=0,
        le=60,
        validation_alias=AliasChoices("REPARTEE_AUDIO_EVENT_S"),
        description="Audio in one event or binary frame, in seconds; more is refused.",
    )
    event_bytes: int = Field(
        default=1_048_576,
        ge=10_000,
        le=8_388_608,
        validation_alias=AliasChoices("REPARTEE_EVENT_BYTES"),
        description="The longest event without audio, in bytes; a longer one is refused.",
    )
    requests_per_s: float = Field(
        default=20.0,
        gt=0,
        le=10_000,
        validation_alias=AliasChoices("REPARTEE_REQUESTS_PER_S"),
        description="response.create and session.update that one client may send a second; more are refused.",
    )
    history_items: int = Field(
        default=2_000,
        ge=10,
        le=100_000,
        validation_alias=AliasChoices("REPARTEE_HISTORY_ITEMS"),
        description="Items of a conversation that are kept; beyond that the oldest turns are forgotten.",
    )
    history_bytes: int = Field(
        default=2_097_152,
        ge=10_000,
        le=100_000_000,
        validation_alias=AliasChoices("REPARTEE_HISTORY_BYTES"),
        description="Size of a conversation's texts, in bytes; beyond that the oldest turns are forgotten.",
    )
