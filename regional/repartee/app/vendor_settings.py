"""The settings that say which vendors serve, and the vendors' own, as the table of vendors has them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, create_model, field_validator
from pydantic_settings import BaseSettings

from repartee.errors import ConfigurationError
from repartee.providers.vendor import Opening, Vendor, VendorKind, VendorSetting
from repartee.providers.vendors import USUAL, VENDORS, listed


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

    stt: str = _choice(VendorKind.STT, "Speech recognition: a vendor, or several in order; the first serves.")
    llm: str = _choice(VendorKind.LLM, "Language model, likewise.")
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
        usual = {name: self.value_of(variable) for name, variable in vendor.options.items()}
        values = {setting.variable: self.value_of(setting.variable) for setting in vendor.all_settings}
        return Opening(
            vendor.account,
            values,
            model=model or values.get(vendor.model, ""),
            voice=voice or self.voice or values.get(vendor.voice, ""),
            options={name: value for name, value in {**usual, **wanted}.items() if value},
        )


def _names(kind: VendorKind, names: str) -> str:
    return ",".join(vendor.name for vendor in listed(kind, names))
