"""The settings of the TURN servers that callers by WebRTC may use."""

import re

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from repartee.providers.vendor import web_address

_TURN_URL = re.compile(r"turns?:[^\s:,/?]+(?::[0-9]{1,5})?(?:\?transport=(?:udp|tcp))?")


class TurnSettings(BaseSettings):
    """A part of the worker's Settings. Field descriptions are the documentation's."""

    turn_secret: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("REPARTEE_TURN_SECRET"),
        description="The secret that those servers share with the worker (coturn: use-auth-secret, "
        "static-auth-secret): callers' credentials are made from it.",
    )
    turn_urls: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_TURN_URLS"),
        description="TURN servers that callers may use, with commas between them, as "
        "turns:turn.example.com:443?transport=tcp. Needs REPARTEE_TURN_SECRET.",
    )
    turn_cloudflare_token: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("REPARTEE_TURN_CLOUDFLARE_TOKEN"),
        description="The API token of that key.",
    )
    turn_cloudflare_key: str = Field(
        default="",
        pattern=r"^[0-9A-Za-z_-]{0,128}$",
        validation_alias=AliasChoices("REPARTEE_TURN_CLOUDFLARE_KEY"),
        description="The id of a TURN key of Cloudflare's: callers may use its servers. Needs "
        "REPARTEE_TURN_CLOUDFLARE_TOKEN.",
    )
    turn_cloudflare_url: str = Field(
        default="https://rtc.live.cloudflare.com",
        validation_alias=AliasChoices("REPARTEE_TURN_CLOUDFLARE_URL"),
        description="Where Cloudflare gives credentials for it.",
    )
    turn_credentials_s: int = Field(
        default=3_600,
        ge=60,
        le=86_400,
        validation_alias=AliasChoices("REPARTEE_TURN_CREDENTIALS_S"),
        description="How long a caller's credentials for a TURN server are good, in seconds; a call may not outlast "
        "them.",
    )

    @field_validator("turn_urls")
    @classmethod
    def _are_turn_urls(cls, listed: str, info: ValidationInfo) -> str:
        for url in filter(None, map(str.strip, listed.split(","))):
            if not _TURN_URL.fullmatch(url):
                raise ValueError(
                    "must be turn: or turns: URLs, as in turns:turn.example.com:443?transport=tcp"
                )
        secret = info.data.get("turn_secret")
        if listed and secret is not None and not secret.get_secret_value():
            raise ValueError("needs REPARTEE_TURN_SECRET too: callers' credentials are made from it")
        return listed

    @field_validator("turn_cloudflare_key")
    @classmethod
    def _has_its_token(cls, key: str, info: ValidationInfo) -> str:
        token = info.data.get("turn_cloudflare_token")
        if key and token is not None and not token.get_secret_value():
            raise ValueError("needs REPARTEE_TURN_CLOUDFLARE_TOKEN too")
        return key

    @field_validator("turn_cloudflare_url")
    @classmethod
    def _gives_turn_credentials(cls, url: str) -> str:
        return web_address(url)
