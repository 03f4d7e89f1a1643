"""The way out to providers, in the variables that other programs read: proxies."""

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from repartee.providers.egress import ALL, DIRECT, PLAIN, SECURE, read_proxy


def _variable(name: str) -> AliasChoices:
    return AliasChoices(name, name.lower())


def _usable(variable: str, value: SecretStr) -> SecretStr:
    if named := value.get_secret_value().strip():
        read_proxy(variable, named)
    return value


class EgressSettings(BaseSettings):
    """A part of the worker's Settings, which only checks them: dials read the environment itself, as the doctor's do.
    Field descriptions are the documentation's."""

    https_proxy: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=_variable(SECURE),
        description="An HTTP proxy that providers at https:// addresses are reached through (CONNECT), as "
        "http://user:password@proxy.example.com:3128; the same in lower case goes before it.",
    )
    http_proxy: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=_variable(PLAIN),
        description="The same for providers at http:// addresses. This machine itself is always reached directly.",
    )
    all_proxy: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=_variable(ALL),
        description="The same for what neither of the two names.",
    )
    no_proxy: str = Field(
        default="",
        validation_alias=_variable(DIRECT),
        description="Hosts that are reached directly, with commas: a name (and what is below it), an address, a "
        "network, each with a port if need be, or `*`.",
    )

    @field_validator("https_proxy")
    @classmethod
    def _is_for_https(cls, value: SecretStr) -> SecretStr:
        return _usable(SECURE, value)

    @field_validator("http_proxy")
    @classmethod
    def _is_for_http(cls, value: SecretStr) -> SecretStr:
        return _usable(PLAIN, value)

    @field_validator("all_proxy")
    @classmethod
    def _is_for_all(cls, value: SecretStr) -> SecretStr:
        return _usable(ALL, value)
