"""All that `repartee doctor` looks at, in order: what depends on settings that are wrong is left out."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from repartee.doctor.findings import Finding
from repartee.doctor.machine_checks import check_agent, check_keys, check_port, check_python, check_settings
from repartee.doctor.network_checks import (
    check_clock,
    check_edge,
    check_providers,
    check_region,
    check_task_protection,
)
from repartee.doctor.store_check import check_store
from repartee.errors import ConfigurationError


async def examine(
    environment: Mapping[str, str], *, port: int, agent: str = "", region_url: str = ""
) -> list[Finding]:
    """Look at everything; what depends on settings that are wrong is left out. ``agent`` as ``--agent`` names it."""
    if region_url and urlsplit(region_url).scheme not in ("http", "https"):
        raise ConfigurationError(f"--region-url must be like http://127.0.0.1:8000, not {region_url}.")
    settings, found = check_settings(environment)
    found = [check_python(), *found]
    if urlsplit(region_url).port != port:
        found.append(check_port(port))
    ahead_s: list[float] = []
    if settings is None:
        told = "Keys, agent and providers were not looked at: the settings come first."
        found.append(Finding("the rest", told))
    else:
        served, about_agent = check_agent(settings, agent)
        found += [about_agent, *check_keys(settings, served)]
        missing = {finding.subject for finding in found if finding.fault}
        for about, clocks in (await check_providers(settings, served), await check_edge(settings)):
            found += [finding for finding in about if finding.fault or finding.subject not in missing]
            ahead_s += clocks
        found += [await check_store(settings), *await check_task_protection(settings)]
    if region_url:
        about, clocks = await check_region(region_url)
        found += about
        ahead_s += clocks
    return [*found, check_clock(ahead_s)]
