"""The settings of calls that a region places."""

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings

from repartee.app.telephone_hours import hours_in


class TelephoneOutSettings(BaseSettings):
    """A part of the worker's Settings. Field descriptions are the documentation's."""

    dial_from: str = Field(
        default="",
        pattern=r"^$|^\+[1-9][0-9]{6,14}$",
        validation_alias=AliasChoices("REPARTEE_DIAL_FROM"),
        description="The number that calls are placed from, where the request names none, such as +15550199.",
    )
    dial_at_once: int = Field(
        default=10,
        ge=0,
        le=10_000,
        validation_alias=AliasChoices("REPARTEE_DIAL_AT_ONCE"),
        description="Calls placed by all that share a store, at once; 0: none are placed.",
    )
    dial_per_minute: int = Field(
        default=60,
        ge=1,
        le=10_000,
        validation_alias=AliasChoices("REPARTEE_DIAL_PER_MINUTE"),
        description="Calls placed by all that share a store, in a minute.",
    )
    dial_hours: str = Field(
        default="8-21",
        validation_alias=AliasChoices("REPARTEE_DIAL_HOURS"),
        description="From when to when somebody may be called, by the hours of where their number is at home; 0-24: "
        "always.",
    )
    dial_zones: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_DIAL_ZONES"),
        description="Where numbers are at home, by what they begin with, as in 1415=America/Los_Angeles,49="
        "Europe/Berlin; else by the country's code, and in all of its zones.",
    )
    telnyx_account_id: str = Field(
        default="",
        validation_alias=AliasChoices("TELNYX_ACCOUNT_ID"),
        description="Telnyx account that calls are placed with.",
    )
    telnyx_application_id: str = Field(
        default="",
        validation_alias=AliasChoices("TELNYX_APPLICATION_ID"),
        description="Telnyx's TeXML application that calls are placed with.",
    )

    @field_validator("dial_hours")
    @classmethod
    def _are_hours(cls, text: str) -> str:
        if hours_in(text) is None:
            raise ValueError("must be two hours, as in 8-21")
        return text

    @field_validator("dial_zones")
    @classmethod
    def _are_zones(cls, text: str) -> str:
        zones_in(text)
        return text


def zones_in(text: str) -> dict[str, str]:
    """``1415=America/Los_Angeles,…`` by beginnings. Raises ValueError."""
    from zoneinfo import ZoneInfo

    found = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        beginning, _, zone = item.partition("=")
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{item!r} is not like 1415=America/Los_Angeles") from None
        if not beginning.isdigit():
            raise ValueError(f"{item!r} is not like 1415=America/Los_Angeles")
        found[beginning] = zone
    return found
