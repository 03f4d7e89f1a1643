"""The settings that say where recordings of calls are kept, in which form and for how long."""

from pathlib import Path
from tempfile import gettempdir
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from repartee.app.call_audio.encoder import EncoderOptions
from repartee.providers.vendor import web_address
from repartee.store.object_store import ObjectStorePlace
from repartee.store.recording_places import S3, RecordingPlace, bucket_of, open_place
from repartee.transport.webrtc.libraries import opus_file


class RecordingSettings(BaseSettings):
    """A part of the worker's Settings. Field descriptions are the documentation's."""

    recording_format: Literal["opus", "wav"] = Field(
        default="opus",
        validation_alias=AliasChoices("REPARTEE_RECORDING_FORMAT"),
        description="What recordings are: opus (in Ogg, 32 kbit/s; needs libopus, which the extra webrtc brings) or "
        "wav (768 kbit/s).",
    )
    recordings: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_RECORDINGS"),
        description="Where recordings of calls are kept ([how](#recordings-of-calls)): a folder, or "
        "s3://bucket/prefix; empty: no call is recorded.",
    )
    recording_keep_days: float = Field(
        default=30.0,
        ge=0,
        le=36_500,
        validation_alias=AliasChoices("REPARTEE_RECORDING_KEEP_DAYS"),
        description="How many days recordings are kept; 0: for ever.",
    )
    recording_spool: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_RECORDING_SPOOL"),
        description="Folder on this machine for recordings that are not at their place yet; empty: one for temporary "
        "files.",
    )
    s3_endpoint: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_S3_ENDPOINT"),
        description="Address of an S3-compatible store; empty: AWS.",
    )
    s3_region: str = Field(
        default="us-east-1",
        validation_alias=AliasChoices("REPARTEE_S3_REGION"),
        description="Region of the bucket.",
    )
    aws_key_id: str = Field(
        default="",
        validation_alias=AliasChoices("AWS_ACCESS_KEY_ID"),
        description="Key of the bucket.",
    )
    aws_secret_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("AWS_SECRET_ACCESS_KEY"),
        description="The key's secret.",
    )
    aws_session_token: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("AWS_SESSION_TOKEN"),
        description="Goes with a key that ages out.",
    )

    @field_validator("recordings")
    @classmethod
    def _is_a_place(cls, place: str, info: ValidationInfo) -> str:
        if place.startswith(S3):
            bucket_of(place)
        if place and info.data.get("recording_format") == "opus" and opus_file() is None:
            raise ValueError("needs libopus for REPARTEE_RECORDING_FORMAT=opus: install it, or use wav")
        return place

    @field_validator("s3_endpoint")
    @classmethod
    def _is_the_stores_address(cls, url: str) -> str:
        return web_address(url) if url else url

    def place_of(self, address: str) -> RecordingPlace:
        """Where recordings of this address are."""
        return open_place(address, self._bucket(address))

    def encoder_options(self) -> EncoderOptions:
        """What the process that encodes is to do."""
        spool = self.recording_spool or str(Path(gettempdir()) / "repartee-recordings")
        return EncoderOptions(self.recordings, spool, self.recording_format, self._bucket(self.recordings))

    def _bucket(self, address: str) -> ObjectStorePlace | None:
        if not address.startswith(S3):
            return None
        bucket, prefix = bucket_of(address)
        return ObjectStorePlace(
            bucket,
            prefix,
            self.s3_endpoint,
            self.s3_region,
            self.aws_key_id,
            self.aws_secret_key.get_secret_value(),
            self.aws_session_token.get_secret_value(),
        )
