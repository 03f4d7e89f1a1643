"""The settings that say which vendors serve, and the vendors' own, as the table of vendors has them."""

import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings

from repartee.errors import ConfigurationError
from repartee.providers.vendor import Opening, Vendor, VendorKind, VendorSetting, web_address
from repartee.providers.vendors import USUAL, VENDORS, listed

log = logging.getLogger(__name__)

NAMED_LLM_VALUE = re.compile(r"REPARTEE_LLM_[A-Z0-9_]+_(?:URL|MODEL|KEY)")
"""The settings of a language model that REPARTEE_LLM itself names."""


def field_of(variable: str) -> str:
    """The name of a variable's field in Settings."""
    return variable.removeprefix("REPARTEE_").lower()


def _checked(check: Callable[[str], str]) -> Callable[[SecretStr], SecretStr]:
    return lambda value: SecretStr(check(value.get_secret_value()))


def _field(setting: VendorSetting) -> Any:
    default: str | SecretStr = SecretStr(setting.default) if setting.secret else setting.default
    kind: Any = Annotated[str, AfterValidator(setting.check)]
    if setting.secret:
        kind = Annotated[SecretStr, AfterValidator(_checked(setting.check))]
    alias = AliasChoices(setting.variable)
    return kind, Field(default=default, validation_alias=alias, description=setting.description)


def _fields() -> dict[str, Any]:
    every = (setting for vendor in VENDORS for setting in vendor.all_settings)
    return {field_of(setting.variable): _field(setting) for setting in every}


if TYPE_CHECKING:

    class TableSettings(BaseSettings):
        """Each vendor's own settings: a field for each variable of the table."""
else:
    TableSettings = create_model("TableSettings", __base__=BaseSettings, **_fields())


def _choice(kind: VendorKind, description: str) -> Any:
    alias = AliasChoices(kind.variable)
    return Field(default=USUAL[kind], validation_alias=alias, description=description)


class VendorSettings(TableSettings):
    """A part of the worker's Settings. Field descriptions are the documentation's."""

    stt: str = _choice(
        VendorKind.STT,
        "Speech recognition: a vendor, or several in order; where one fails, the next takes over.",
    )
    llm: str = _choice(VendorKind.LLM, "Language model, likewise; one of your own is `name=address`.")
    named_llms: Mapping[str, SecretStr] = Field(
        default={},
        validate_default=True,
        validation_alias=AliasChoices("REPARTEE_LLM_NAME_URL"),
        description="The address of a language model that REPARTEE_LLM names, where it is not there; NAME stands for "
        "its name in capitals. REPARTEE_LLM_NAME_MODEL and REPARTEE_LLM_NAME_KEY are its model and key.",
    )
    first_token_ms: float = Field(
        default=700.0,
        ge=50,
        le=10_000,
        validation_alias=AliasChoices("REPARTEE_FIRST_TOKEN_MS"),
        description="A language model that has not begun to answer after so many ms is overtaken by the next of "
        "REPARTEE_LLM: that is asked too, and the first word wins.",
    )
    stall_s: float = Field(
        default=1.5,
        ge=0.5,
        le=60,
        validation_alias=AliasChoices("REPARTEE_STALL_S"),
        description="Where several vendors are listed: one that owes words or sound and is silent for so many "
        "seconds is left for the next.",
    )
    tts: str = _choice(VendorKind.TTS, "Speech synthesis, likewise.")
    realtime: str = _choice(VendorKind.SPEECH_TO_SPEECH, "Speech to speech, likewise.")
    voice: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_VOICE"),
        description="The id of the voice at the vendor in use, where the agent names none; empty: that vendor's own "
        "setting.",
    )
    speech_to_speech: Literal["off", "on"] = Field(
        default="off",
        validation_alias=AliasChoices("REPARTEE_SPEECH_TO_SPEECH"),
        description="Whether a client that asks for a gpt-realtime model is given one. An agent's own model counts "
        "either way.",
    )
    realtime_transcriber: str = Field(
        default="gpt-transcribe",
        min_length=1,
        validation_alias=AliasChoices("REPARTEE_REALTIME_TRANSCRIBER"),
        description="What writes down the caller's words in speech to speech, where the client names nothing else.",
    )

    @model_validator(mode="before")
    @classmethod
    def _gathers_named_llms(cls, given: dict[str, Any]) -> dict[str, Any]:
        values = {name: SecretStr(value) for name, value in given.items() if NAMED_LLM_VALUE.fullmatch(name)}
        return {**given, "REPARTEE_LLM_NAME_URL": values}

    @field_validator("named_llms")
    @classmethod
    def _are_whole(cls, values: Mapping[str, SecretStr], info: ValidationInfo) -> Mapping[str, SecretStr]:
        known, faults = dict(values), []
        for row in listed(VendorKind.LLM, info.data.get("llm", "")):
            account = row.account
            if not account.prefix:
                continue
            given = known.get(account.url_variable, SecretStr("")).get_secret_value()
            try:
                address = web_address(account.base_url or given)
                known[account.url_variable] = SecretStr(address)
            except ValueError as error:
                faults.append(f"{account.url_variable} {error}")
            if row.model not in known:
                faults.append(f"{row.model} must name the model")
        if faults:
            raise ValueError(f"for what REPARTEE_LLM names, {'; '.join(faults)}")
        return known

    @field_validator("stt")
    @classmethod
    def _are_stts(cls, names: str) -> str:
        return _names(VendorKind.STT, names)

    @field_validator("llm")
    @classmethod
    def _are_llms(cls, names: str) -> str:
        return _names(VendorKind.LLM, names)

    @field_validator("tts")
    @classmethod
    def _are_ttss(cls, names: str) -> str:
        return _names(VendorKind.TTS, names)

    @field_validator("realtime")
    @classmethod
    def _are_realtime(cls, names: str) -> str:
        return _names(VendorKind.SPEECH_TO_SPEECH, names)

    def vendors(self, kind: VendorKind) -> tuple[Vendor, ...]:
        """The vendors of a kind, in order."""
        chosen = {
            VendorKind.STT: self.stt,
            VendorKind.LLM: self.llm,
            VendorKind.TTS: self.tts,
            VendorKind.SPEECH_TO_SPEECH: self.realtime,
        }
        return listed(kind, chosen[kind])

    def value_of(self, variable: str) -> str:
        """A vendor's setting, secret or not."""
        if NAMED_LLM_VALUE.fullmatch(variable):
            named = self.named_llms.get(variable)
            return named.get_secret_value() if named else ""
        value = getattr(self, field_of(variable))
        return str(value.get_secret_value() if isinstance(value, SecretStr) else value)

    def opening(
        self,
        vendor: Vendor,
        *,
        model: str | None = None,
        voice: str | None = None,
        options: Mapping[str, object] | None = None,
    ) -> Opening:
        """What to open a vendor with, for an agent that names this model and this voice, and wants these options.

        Raises ConfigurationError for options that the vendor does not take.
        """
        try:
            wanted = vendor.check_options(options or {})
        except ValueError as error:
            raise ConfigurationError(f"The agent's options for {vendor.name} are wrong: {error}.") from None
        return self._opening(vendor, model, voice or self.voice, wanted, tuple(vendor.options))

    def fallback_opening(self, vendor: Vendor, *, options: Mapping[str, object] | None = None) -> Opening:
        """The same for a vendor that stands in for the first of its kind: with its own model and voice. Options that
        it does not take, or that mean something to the first alone, are left out; the log says which."""
        wanted: dict[str, str] = {}
        ignored: list[str] = []
        for name, value in (options or {}).items():
            try:
                if name in vendor.own_options:
                    raise ValueError("is the first vendor's own")
                wanted |= vendor.check_options({name: value})
            except ValueError:
                ignored.append(name)
        if ignored:
            log.warning(
                "%s, a fall-back, does not know the agent's %s; leaving these out for it",
                vendor.name,
                ", ".join(ignored),
            )
        shared = vendor.own_options if vendor.kind is VendorKind.LLM else frozenset[str]()
        return self._opening(vendor, None, "", wanted, tuple(set(vendor.options) - shared))

    def _opening(
        self,
        vendor: Vendor,
        model: str | None,
        voice: str,
        wanted: Mapping[str, str],
        usual: tuple[str, ...],
    ) -> Opening:
        set_here = {name: self.value_of(vendor.options[name]) for name in usual}
        values = {setting.variable: self.value_of(setting.variable) for setting in vendor.all_settings}
        return Opening(
            vendor.account,
            values,
            model=model or values.get(vendor.model, ""),
            voice=voice or values.get(vendor.voice, ""),
            options={name: value for name, value in {**set_here, **wanted}.items() if value},
        )


def _names(kind: VendorKind, names: str) -> str:
    rows = listed(kind, names)
    return ",".join(f"{row.name}={row.account.base_url}" if _has_address(row) else row.name for row in rows)


def _has_address(row: Vendor) -> bool:
    return bool(row.account.prefix and row.account.base_url)
