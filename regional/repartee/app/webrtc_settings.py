"""The settings of calls by WebRTC."""

from ipaddress import ip_address
from typing import Literal

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings


def _host_and_port(said: str, *, host_needed: bool) -> str:
    host, colon, port = said.rpartition(":")
    if said and (not colon or not port.isdigit() or not 0 < int(port) < 65_536 or (host_needed and not host)):
        raise ValueError("must be host:port, as in 10.0.1.5:8000")
    return said


class WebRtcSettings(BaseSettings):
    """A part of the worker's Settings. Field descriptions are the documentation's."""

    webrtc_port: int = Field(
        default=3_478,
        ge=0,
        le=65_535,
        validation_alias=AliasChoices("REPARTEE_WEBRTC_PORT"),
        description="The UDP port of all WebRTC calls, and the TCP port of the same number (ICE-TCP); of several "
        "processes each takes the next. One that is taken is replaced by any that is free, with a warning; 0: any.",
    )
    webrtc_tcp: bool = Field(
        default=True,
        validation_alias=AliasChoices("REPARTEE_WEBRTC_TCP"),
        description="Whether callers whose network blocks UDP may come by TCP.",
    )
    webrtc_address: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_WEBRTC_ADDRESS"),
        description="The IP addresses at which callers reach this worker, with commas between them. Empty: found by "
        "STUN or from ECS, else the machine's own.",
    )
    webrtc_stun: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_WEBRTC_STUN"),
        description="A STUN server, as host:port, that the worker asks for its public address at its start.",
    )
    webrtc_setup_s: float = Field(
        default=15.0,
        ge=1,
        le=120,
        validation_alias=AliasChoices("REPARTEE_WEBRTC_SETUP_S"),
        description="How long a caller may take to connect after the answer, in seconds.",
    )
    webrtc_consent_s: float = Field(
        default=30.0,
        ge=5,
        le=300,
        validation_alias=AliasChoices("REPARTEE_WEBRTC_CONSENT_S"),
        description="How long a call is held whose caller sends no connectivity checks, in seconds: within that it "
        "may come back.",
    )
    webrtc_frame_ms: Literal[10, 20] = Field(
        default=20,
        validation_alias=AliasChoices("REPARTEE_WEBRTC_FRAME_MS"),
        description="The length of a packet's audio, 10 or 20 ms; 10 is sooner and costs twice the packets.",
    )
    opus_bitrate: int = Field(
        default=32_000,
        ge=12_000,
        le=128_000,
        validation_alias=AliasChoices("REPARTEE_OPUS_BITRATE"),
        description="Bits a second of the agent's voice; below 32,000 its copies against loss are poor.",
    )
    opus_complexity: int = Field(
        default=5,
        ge=0,
        le=10,
        validation_alias=AliasChoices("REPARTEE_OPUS_COMPLEXITY"),
        description="How hard the encoder tries, from 0 (half the CPU of 5) to 10.",
    )
    opus_low_delay: bool = Field(
        default=False,
        validation_alias=AliasChoices("REPARTEE_OPUS_LOW_DELAY"),
        description="Encode with 4 ms less of look-ahead, from 32,000 bits a second on.",
    )
    worker_address: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_WORKER_ADDRESS"),
        description="Where the region's other workers reach this one over HTTP, as 10.0.1.5:8000 (:8000 with the "
        "task's or machine's own address): what belongs to one of its WebRTC calls is passed on to it. Empty: it "
        "is alone.",
    )
    ecs_metadata_uri: str = Field(
        default="",
        validation_alias=AliasChoices("ECS_CONTAINER_METADATA_URI_V4"),
        description="Set by ECS itself: where the task reads its own address.",
    )

    @field_validator("webrtc_address")
    @classmethod
    def _are_public_addresses(cls, listed: str) -> str:
        for address in filter(None, map(str.strip, listed.split(","))):
            ip_address(address)
        return listed

    @field_validator("webrtc_stun")
    @classmethod
    def _is_a_stun_server(cls, said: str) -> str:
        return _host_and_port(said, host_needed=True)

    @field_validator("worker_address")
    @classmethod
    def _is_a_workers_address(cls, said: str) -> str:
        return _host_and_port(said, host_needed=False)
