"""All settings of a regional worker, read from the environment once, at the start.

If a setting is wrong, the worker does not start, and names all that are wrong together. docs/operations.md lists
every one (a test compares).
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from repartee.app.answer_settings import AnswerSettings
from repartee.app.client_settings import ClientSettings
from repartee.app.egress_settings import EgressSettings
from repartee.app.recording_settings import RecordingSettings
from repartee.app.store_settings import StoreSettings
from repartee.app.telemetry_settings import TelemetrySettings
from repartee.app.telephone_out_settings import TelephoneOutSettings
from repartee.app.telephone_settings import TelephoneSettings
from repartee.app.turn_settings import TurnSettings
from repartee.app.unknown_settings import unknown_names
from repartee.app.vendor_settings import NAMED_LLM_VALUE, VendorSettings
from repartee.app.webrtc_settings import WebRtcSettings
from repartee.errors import ConfigurationError
from repartee.providers.vendor import web_address
from repartee_edge.selfhosted.heads import LONGEST_LINE_BYTES

MOST_WORKERS = 64
SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "CREDENTIALS", "DATABASE_URL", "HEADERS")
"""The values of variables with one of these in their names are never shown."""


def _named(variable: str) -> AliasChoices:
    return AliasChoices(variable)


class Settings(
    AnswerSettings,
    ClientSettings,
    EgressSettings,
    RecordingSettings,
    StoreSettings,
    TelemetrySettings,
    TelephoneOutSettings,
    TelephoneSettings,
    TurnSettings,
    VendorSettings,
    WebRtcSettings,
):
    """One regional worker's configuration. Field descriptions are the documentation's."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    hedge: bool = Field(
        default=True,
        validation_alias=_named("REPARTEE_HEDGE"),
        description="Ask a language model that is late to begin a second time (at most 6 % extra requests).",
    )
    speculate: bool = Field(
        default=True,
        validation_alias=_named("REPARTEE_SPECULATE"),
        description="Begin replies before it is certain that the caller has finished. Off: fewer requests, and "
        "later replies.",
    )
    first_clause_chars: int = Field(
        default=8,
        ge=1,
        le=200,
        validation_alias=_named("REPARTEE_FIRST_CLAUSE_CHARS"),
        description="A reply's first clause is spoken at once if it is longer than this. More: calmer openings, "
        "spoken later.",
    )
    record_phrases: bool = Field(
        default=True,
        validation_alias=_named("REPARTEE_RECORD_PHRASES"),
        description='Have the greeting, the fillers and what replies like to begin with ("Of course.") synthesised '
        "once at the start, and play them from memory.",
    )
    silent_s: float = Field(
        default=5.0,
        ge=2,
        le=60,
        validation_alias=_named("REPARTEE_SILENT_S"),
        description="A recogniser or speech-to-speech session that owes an answer is replaced after so many seconds "
        "without an event.",
    )
    exchange_every_s: float = Field(
        default=30.0,
        ge=5,
        le=600,
        validation_alias=_named("REPARTEE_EXCHANGE_EVERY_S"),
        description="It is replaced at most once in so many seconds; silent again before that, the caller hears so.",
    )
    exchanges: int = Field(
        default=3,
        ge=0,
        le=100,
        validation_alias=_named("REPARTEE_EXCHANGES"),
        description="So many silent sessions in a row are replaced before the call ends, in words.",
    )
    away_s: float = Field(
        default=10.0,
        ge=2,
        le=50,
        validation_alias=_named("REPARTEE_AWAY_S"),
        description="A call without a recogniser or speech-to-speech session keeps its caller's audio and retries "
        "for so many seconds, tells the caller after two thirds of them, and ends in words.",
    )
    region: str = Field(
        default="local",
        min_length=1,
        validation_alias=_named("REPARTEE_REGION"),
        description="This region's name, as tickets and traces have it.",
    )
    max_calls: int = Field(
        default=100,
        ge=1,
        le=10_000,
        validation_alias=_named("REPARTEE_MAX_CALLS"),
        description="Call slots of this worker: further calls are refused with 503.",
    )
    warm_calls: int = Field(
        default=4,
        ge=0,
        le=1_000,
        validation_alias=_named("REPARTEE_WARM_CALLS"),
        description="How many further calls each pool is kept warm for.",
    )
    dials_per_s: int = Field(
        default=2,
        ge=1,
        le=1_000,
        validation_alias=_named("REPARTEE_DIALS_PER_S"),
        description="Connections that may be dialled to one provider in any second while no call is in progress, "
        "whatever the cause; only the first filling of a pool is quicker.",
    )
    call_dials_per_s: int = Field(
        default=20,
        ge=1,
        le=10_000,
        validation_alias=_named("REPARTEE_CALL_DIALS_PER_S"),
        description="The same while calls are in progress.",
    )
    workers: int = Field(
        default=1,
        ge=0,
        le=MOST_WORKERS,
        validation_alias=_named("REPARTEE_WORKERS"),
        description="Processes that share the port and the call slots, where --workers does not say; 0: one for each "
        "core.",
    )
    head_bytes: int = Field(
        default=65_536,
        ge=1_024,
        le=1_048_576,
        validation_alias=_named("REPARTEE_MAX_HEAD_BYTES"),
        description="Size of a request's head, in bytes; above it: 431.",
    )
    header_line_bytes: int = Field(
        default=LONGEST_LINE_BYTES,
        ge=256,
        le=LONGEST_LINE_BYTES,
        validation_alias=_named("REPARTEE_MAX_HEADER_LINE_BYTES"),
        description="Size of one line of a request's head, in bytes; above it: 431, or 414 for the first line.",
    )
    headers: int = Field(
        default=100,
        ge=10,
        le=128,
        validation_alias=_named("REPARTEE_MAX_HEADERS"),
        description="Headers of a request; more: 431.",
    )
    body_bytes: int = Field(
        default=65_536,
        ge=0,
        le=16_777_216,
        validation_alias=_named("REPARTEE_MAX_BODY_BYTES"),
        description="Size of a request's body, in bytes; above it: 413.",
    )
    request_s: float = Field(
        default=10.0,
        ge=0.1,
        le=300,
        validation_alias=_named("REPARTEE_REQUEST_S"),
        description="How long a request's head may take to come, and its body after it, in seconds; then 408.",
    )
    response_s: float = Field(
        default=30.0,
        ge=1,
        le=300,
        validation_alias=_named("REPARTEE_RESPONSE_S"),
        description="How long a client may take to read an answer, in seconds.",
    )
    connections: int = Field(
        default=500,
        ge=10,
        le=100_000,
        validation_alias=_named("REPARTEE_MAX_CONNECTIONS"),
        description="Connections of one process that are no calls (yet); for one more, the longest idle is closed.",
    )
    allowed_origins: str = Field(
        default="",
        validation_alias=_named("REPARTEE_ALLOWED_ORIGINS"),
        description="Web origins, with commas, that a region serves beside this machine's own where it needs no "
        "tickets or is part of `repartee up`, such as a tunnel's; their hosts count too; `*`: all.",
    )
    ticket_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=_named("REPARTEE_TICKET_KEY"),
        description="The key that session tickets are signed with; 32 characters or more.",
    )
    ticket_key_previous: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=_named("REPARTEE_TICKET_KEY_PREVIOUS"),
        description="The key before it, accepted while keys are rotated.",
    )
    agent: str = Field(
        default="",
        validation_alias=_named("REPARTEE_AGENT"),
        description="The agent to serve, as module:name or file.py:name; empty: a plain one.",
    )
    drain_s: float = Field(
        default=110.0,
        ge=0,
        le=7_200,
        validation_alias=_named("REPARTEE_DRAIN_S"),
        description="How long calls may go on after the worker gets the signal to stop, in seconds.",
    )
    edge_url: str = Field(
        default="",
        validation_alias=_named("REPARTEE_EDGE_URL"),
        description="The edge to send heartbeats to: load, draining, P90. Empty: none are sent.",
    )
    heartbeat_s: float = Field(
        default=10.0,
        ge=1,
        le=60,
        validation_alias=_named("REPARTEE_HEARTBEAT_S"),
        description="Time between two heartbeats, in seconds. The edge forgets a worker after 90 s.",
    )
    cloudwatch: Literal["emf", "off"] = Field(
        default="off",
        validation_alias=_named("REPARTEE_CLOUDWATCH"),
        description="CloudWatch metrics: emf writes a line of them to standard output every minute.",
    )
    ecs_agent_uri: str = Field(
        default="",
        validation_alias=_named("ECS_AGENT_URI"),
        description="Set by ECS itself: the task protects itself from being stopped while it has calls.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias=_named("REPARTEE_LOG_LEVEL"), description="What is logged."
    )

    stand_ins: str = Field(
        default="",
        validation_alias=_named("REPARTEE_STAND_INS"),
        description="Vendors, with commas, in whose place a stand-in answers: callers' pages say so. `repartee up` "
        "sets it.",
    )

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, listed: str) -> str:
        for origin in filter(None, map(str.strip, listed.split(","))):
            parts = urlsplit(origin)
            is_bare = parts.scheme in ("http", "https") and origin == f"{parts.scheme}://{parts.netloc}"
            if origin != "*" and not is_bare:
                raise ValueError("must be origins with commas between them, as in https://me.tunnel.example")
        return listed

    def stood_in_for(self) -> frozenset[str]:
        """The accounts in whose place stand-ins answer."""
        return frozenset(filter(None, map(str.strip, self.stand_ins.split(","))))

    def origins(self) -> frozenset[str]:
        """The allowed origins."""
        return frozenset(filter(None, map(str.strip, self.allowed_origins.split(","))))

    @field_validator("edge_url", "ecs_agent_uri")
    @classmethod
    def _is_web_address_or_empty(cls, url: str) -> str:
        return web_address(url) if url else url

    @field_validator("edge_url")
    @classmethod
    def _can_be_signed(cls, url: str, info: ValidationInfo) -> str:
        # A ticket key that is itself at fault is missing here, and told of on its own.
        key = info.data.get("ticket_key")
        if url and key is not None and not key.get_secret_value():
            raise ValueError("needs REPARTEE_TICKET_KEY too: heartbeats are signed with it")
        return url

    @field_validator("ticket_key", "ticket_key_previous")
    @classmethod
    def _is_long_enough(cls, key: SecretStr) -> SecretStr:
        if key.get_secret_value() and len(key.get_secret_value().encode()) < 32:
            raise ValueError("must be 32 bytes or longer: openssl rand -base64 32 makes one")
        return key


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in the process's environment (or in ``environment``, for tests).

    Raises ConfigurationError, which names every fault.
    """
    given = os.environ if environment is None else environment
    named_llms = [name for name in given if NAMED_LLM_VALUE.fullmatch(name)]
    unknown = unknown_names(given, [*map(variable_of, Settings.model_fields), *named_llms])
    try:
        if environment is None:
            named: dict[str, Any] = {
                name: value for name, value in os.environ.items() if NAMED_LLM_VALUE.fullmatch(name) and value
            }
            settings = Settings(**named)
        else:
            settings = Settings.model_validate({key: value for key, value in environment.items() if value})
    except ValidationError as error:
        raise ConfigurationError(_told([*unknown, *_faults(error)])) from None
    if unknown:
        raise ConfigurationError(_told(unknown))
    return settings


def variable_of(field: str) -> str:
    """The environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias
    assert isinstance(alias, AliasChoices)
    return str(alias.choices[0])


def _told(faults: Sequence[str]) -> str:
    return "\n  ".join(["These settings are wrong:", *faults])


def _faults(error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False):
        name = str(fault["loc"][0])
        variable = variable_of(name) if name in Settings.model_fields else name
        told = fault["msg"].removeprefix("Value error, ")
        secret = any(word in variable for word in SECRET_WORDS)
        hidden = secret or isinstance(fault["input"], Mapping) or "@" in str(fault["input"])
        shown = "" if hidden else f" (it is {fault['input']!r})"
        lines.append(f"{variable}: {told[0].lower()}{told[1:]}{shown}")
    return lines
