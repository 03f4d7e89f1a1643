"""The settings that say where what happens in calls is reported to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from repartee.errors import ConfigurationError
from repartee.providers.vendor import web_address
from repartee.telemetry.prices import PriceTable, read_prices
from repartee.telemetry.redaction import Redaction, redaction_of


class TelemetrySettings(BaseSettings):
    """A part of the worker's Settings. Field descriptions are the documentation's."""

    latency_log: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_LATENCY_LOG"),
        description="File for one JSON line a turn; empty: standard output.",
    )
    call_records: Literal["off", "figures", "words"] = Field(
        default="figures",
        validation_alias=AliasChoices("REPARTEE_RECORDS"),
        description="What the store keeps of each call (`repartee calls`): off: nothing; figures: who, when, how "
        "fast, how it ended; words: what was said and what tools were given and gave, too.",
    )
    redact: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_REDACT"),
        description="What is taken out of words before they are kept, with commas: card, email, telephone.",
    )
    redact_patterns: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_REDACT_PATTERNS"),
        description="File of further patterns (regular expressions, one a line) that are taken out of words before "
        "they are kept.",
    )
    prices: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_PRICES"),
        description="File of vendors' prices, from which the records of calls have what each cost "
        "([form](#what-calls-cost)).",
    )
    summary: bool = Field(
        default=False,
        validation_alias=AliasChoices("REPARTEE_SUMMARY"),
        description="Have the language model sum up each call when it is over, for its record and `call.ended`. "
        "Needs REPARTEE_RECORDS=words.",
    )
    webhook_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("REPARTEE_WEBHOOK_KEY"),
        description="The key that webhooks are signed with; 32 characters or more.",
    )
    webhook_url: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_WEBHOOK_URL"),
        description="Address that each call's start and end are sent to; empty: none. Needs REPARTEE_WEBHOOK_KEY.",
    )
    dashboard_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("REPARTEE_DASHBOARD_KEY"),
        description="The key that opens this region's own dashboard, figures and kept calls; empty: only the edge's "
        "API keys open them, through the edge ([dashboard](dashboard.md)).",
    )
    otlp_url: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_OTLP_URL"),
        description="OpenTelemetry collector that traces and metrics are sent to by OTLP over HTTP, as "
        "http://host:4318; empty: none. Needs the extra otel.",
    )
    otlp_headers: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("REPARTEE_OTLP_HEADERS"),
        description="Headers that are sent to it, such as a key, as name=value with commas.",
    )
    exporters: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_EXPORTERS"),
        description="Exporters of your own for call events, with commas, as module:name or file.py:name "
        "([how](extending.md)).",
    )
    export_queue: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        validation_alias=AliasChoices("REPARTEE_EXPORT_QUEUE"),
        description="Call events that may wait for one exporter, in each process; what is more is dropped, and "
        "counted.",
    )
    export_close_s: float = Field(
        default=2.0,
        ge=0,
        le=60,
        validation_alias=AliasChoices("REPARTEE_EXPORT_CLOSE_S"),
        description="How long exporters may take for the events that wait when the worker ends, in seconds.",
    )

    @field_validator("summary")
    @classmethod
    def _has_words(cls, summary: bool, info: ValidationInfo) -> bool:
        if summary and info.data.get("call_records") != "words":
            raise ValueError("needs REPARTEE_RECORDS=words: a summary holds words")
        return summary

    @field_validator("webhook_key")
    @classmethod
    def _is_a_long_key(cls, key: SecretStr) -> SecretStr:
        if 0 < len(key.get_secret_value()) < 32:
            raise ValueError("must be 32 characters or longer: openssl rand -base64 32 makes one")
        return key

    @field_validator("webhook_url")
    @classmethod
    def _can_be_signed_and_read(cls, url: str, info: ValidationInfo) -> str:
        # A key that is itself at fault is missing here, and told of on its own.
        key = info.data.get("webhook_key")
        if url and key is not None and not key.get_secret_value():
            raise ValueError("needs REPARTEE_WEBHOOK_KEY too: webhooks are signed with it")
        if url and info.data.get("call_records") == "off":
            raise ValueError("needs records of calls: REPARTEE_RECORDS must not be off")
        return url

    @field_validator("otlp_url", "webhook_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        return web_address(url) if url else url

    @field_validator("otlp_headers")
    @classmethod
    def _are_headers(cls, headers: SecretStr) -> SecretStr:
        _headers(headers.get_secret_value())
        return headers

    def headers_for_otlp(self) -> Mapping[str, str]:
        """What is sent along to the collector."""
        return _headers(self.otlp_headers.get_secret_value())

    @field_validator("redact")
    @classmethod
    def _names_what_ships(cls, names: str) -> str:
        try:
            redaction_of(names)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return names

    @field_validator("redact_patterns")
    @classmethod
    def _is_a_file_of_patterns(cls, path: str) -> str:
        try:
            redaction_of("", _read(path))
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return path

    @field_validator("prices")
    @classmethod
    def _is_a_price_table(cls, path: str) -> str:
        try:
            read_prices(_read(path))
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return path

    def price_table(self) -> PriceTable:
        """What vendors cost."""
        return read_prices(_read(self.prices))

    def redaction(self) -> Redaction:
        """What is taken out of words."""
        return redaction_of(self.redact, _read(self.redact_patterns))


def _headers(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not sign or not name.strip() for name, sign, _ in pairs):
        raise ValueError("must be name=value with commas between")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"cannot be read: {error}") from None
