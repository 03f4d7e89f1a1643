"""What `repartee doctor` can find out without a network: Python, settings, keys, the agent's file, the port."""

import platform
import re
import socket
import sys
from collections.abc import Mapping

from repartee.agent.agent import Agent, worker_side
from repartee.agent.loader import load
from repartee.app.settings import Settings, read_settings, variable_of
from repartee.app.vendors_in_use import needed_vendors
from repartee.doctor.findings import Finding
from repartee.errors import ConfigurationError
from repartee.providers.own import own_stages
from repartee.providers.vendor import Account
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


def needed_accounts(settings: Settings, agent: Agent) -> tuple[Account, ...]:
    """With whom a region with these settings needs an account, for this agent."""
    relayed = is_speech_to_speech(agent.model)
    needed = needed_vendors(settings, language=agent.language, relayed=relayed, own=own_stages(agent))
    return tuple(dict.fromkeys(row.account for row in needed))


def check_keys(settings: Settings, agent: Agent) -> list[Finding]:
    """Keys that are missing, of those that this agent needs."""
    found = [
        Finding(
            account.label,
            f"{account.key_variable} is not set.",
            f"Export {account.key_variable}, or run the whole system without any key: repartee up.",
        )
        for account in needed_accounts(settings, agent)
        if not settings.value_of(account.key_variable)
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
        alone = needed_accounts(settings, agent)[0].label
        told = f"{told} It is {agent.model} that hears and speaks, so {alone} alone is needed."
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
