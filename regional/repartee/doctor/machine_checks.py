"""What `repartee doctor` can find out without a network: Python, settings, keys, the agent's file, the port."""

import platform
import re
import socket
import sys
from collections.abc import Mapping

from repartee.agent.agent import Agent, worker_side
from repartee.agent.loader import load
from repartee.app.settings import Settings, read_settings, variable_of
from repartee.doctor.findings import Finding
from repartee.errors import ConfigurationError
from repartee.launch.local_system import PROVIDERS, Provider
from repartee.providers.own import own_stages
from repartee.relay.settings import is_speech_to_speech
from repartee_edge.settings import SettingsError
from repartee_edge.settings import read_settings as read_edge_settings

OLDEST_PYTHON = (3, 11)


def check_python(version: tuple[int, int] = (sys.version_info.major, sys.version_info.minor)) -> Finding:
    """Whether this Python will do."""
    if version < OLDEST_PYTHON:
        told = f"This is Python {version[0]}.{version[1]}; 3.11 is the oldest that will do."
        return Finding("Python", told, "Make the virtual environment anew with a newer one.")
    return Finding("Python", f"{platform.python_version()} on {platform.system()} ({platform.machine()}).")


def check_settings(environment: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    """The region's settings, if they can be used, and each fault of theirs and of the edge's (where it has a key)."""
    settings, found = None, []
    try:
        settings = read_settings(environment)
    except ConfigurationError as error:
        faults = str(error).splitlines()[1:]
        found = [_wrong_setting(fault.strip()) for fault in faults]
    if environment.get("REPARTEE_API_KEY"):
        found += _edge_faults(environment, {finding.subject for finding in found})
    if not found:
        given = sum(bool(environment.get(variable_of(field))) for field in Settings.model_fields)
        found = [Finding("settings", f"All are valid; {given} of {len(Settings.model_fields)} are set.")]
    return settings, found


def _wrong_setting(fault: str) -> Finding:
    name, _, told = fault.partition(": ")
    told = f"{told[:1].upper()}{told[1:]}."
    return Finding(name, told, f"Correct {name}, or unset it; docs/operations.md says what it means.")


def _edge_faults(environment: Mapping[str, str], told_already: set[str]) -> list[Finding]:
    try:
        read_edge_settings(environment)
    except SettingsError as error:
        return [
            Finding("edge", f"{fault}.", "Correct it before you start the edge.")
            for fault in error.faults
            if re.split(r"[: ]", fault, maxsplit=1)[0] not in told_already
        ]
    return []


def needed_providers(settings: Settings, agent: Agent) -> tuple[Provider, ...]:
    """The providers that a region with these settings calls for this agent."""
    voice = "Cartesia" if settings.tts == "cartesia" else "ElevenLabs"
    by_stage = {"stt": "Deepgram", "llm": "OpenAI", "tts": voice}
    needed = {name for stage, name in by_stage.items() if stage not in own_stages(agent)}
    if is_speech_to_speech(agent.model) or settings.speech_to_speech == "on":
        needed = {"OpenAI"} if is_speech_to_speech(agent.model) else needed | {"OpenAI"}
    return tuple(provider for provider in PROVIDERS if provider.name in needed)


def key_of(settings: Settings, provider: Provider) -> str:
    """The provider's key, or nothing."""
    key = getattr(settings, provider.key_variable.lower())
    return str(key.get_secret_value())


def check_keys(settings: Settings, agent: Agent) -> list[Finding]:
    """Keys that are missing, of those that this agent needs."""
    found = [
        Finding(
            provider.name,
            f"{provider.key_variable} is not set.",
            f"Export {provider.key_variable}, or run the whole system without any key: repartee up.",
        )
        for provider in needed_providers(settings, agent)
        if not key_of(settings, provider)
    ]
    if settings.ticket_key.get_secret_value():
        found.append(
            Finding("tickets", "REPARTEE_TICKET_KEY is set: callers come in with the edge's tickets.")
        )
    else:
        told = "REPARTEE_TICKET_KEY is not set: only a region on this machine alone would let callers in."
        found.append(Finding("tickets", told))
    return found


def check_agent(settings: Settings, wanted: str = "") -> tuple[Agent, Finding]:
    """The agent that a region would serve, and whether it can be loaded; if not, a plain one in its place.

    ``wanted`` is what ``--agent`` names; without it the settings do.
    """
    plain = Agent(instructions="You are a helpful voice assistant.")
    name, source = (wanted, "--agent") if wanted else (settings.agent, "REPARTEE_AGENT")
    if not name:
        told = "Neither --agent nor REPARTEE_AGENT names one: a plain agent answers."
        return plain, Finding("agent", told)
    try:
        agent = load(name)
    except ConfigurationError as error:
        remedy = (
            f"Correct the file, or {source}. Meanwhile keys and providers are looked at as for a plain agent."
        )
        return plain, Finding("agent", str(error), remedy)
    tools = len(worker_side(agent).tools)
    told = f"{name}, which {source} names, is loaded, with {tools} tool{'s' * (tools != 1)}."
    if is_speech_to_speech(agent.model):
        told = f"{told} It is {agent.model} that hears and speaks, so OpenAI alone is needed."
    return agent, Finding("agent", told)


def check_port(port: int, host: str = "127.0.0.1") -> Finding:
    """Whether a region could listen on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            told = f"A region could not listen on {port}: {error.strerror}."
            return Finding("port", told, "End what listens there, or choose another port: --port.")
    return Finding("port", f"{port} is free.")
