"""``repartee doctor``: whether a region could run here, and what to do about each thing that is in its way."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from repartee.app.settings import read_settings
from repartee.cli.route import load_table
from repartee.doctor import latency_report
from repartee.doctor.examination import examine
from repartee.doctor.findings import Finding
from repartee.doctor.machine_checks import check_agent
from repartee.doctor.stage_times import AT_ONCE, Placing
from repartee.errors import ConfigurationError
from repartee_edge.regions import RegionTable


def doctor(
    port: Annotated[int, typer.Option(help="Port that a region is to listen on.", min=1, max=65535)] = 8000,
    agent: Annotated[
        str,
        typer.Option(
            help="The agent that a region is to serve, as module:name or file.py:name.",
            show_default="REPARTEE_AGENT",
        ),
    ] = "",
    region_url: Annotated[
        str, typer.Option(help="A running region to look at too, as http://host:port.", show_default=False)
    ] = "",
    latency: Annotated[
        bool,
        typer.Option(
            "--latency", help="Place real requests, and say what turns will take. Costs a few cents."
        ),
    ] = False,
    requests: Annotated[
        int, typer.Option(help="With --latency: how many requests of each kind.", min=1, max=1_000)
    ] = 20,
    at_once: Annotated[
        int, typer.Option(help="With --latency: how many are under way at the same time.", min=1, max=100)
    ] = AT_ONCE,
    regions: Annotated[
        Path | None,
        typer.Option(
            help="With --latency: a regions file; each enabled region's providers are asked, from here.",
            show_default=False,
        ),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the findings here as JSON.", show_default=False)
    ] = None,
) -> None:
    """Check configuration, keys, providers, clock and port; say in plain words what is wrong and what to do.

    Only the providers that the agent needs are asked for. The exit status is 1 if anything is wrong.
    """
    findings = asyncio.run(examine(os.environ, port=port, agent=agent, region_url=region_url))
    figures = {}
    if latency and not any(finding.fault for finding in findings if finding.subject != "port"):
        rows = asyncio.run(
            _measured(agent, Placing(requests, at_once), load_table(regions) if regions else None)
        )
        findings += latency_report.findings(rows)
        figures = latency_report.report(rows)
    faults = sum(finding.fault for finding in findings)
    if json_path is not None:
        report = {"ok": not faults, "findings": [finding.as_json() for finding in findings], **figures}
        _write(json_path, json.dumps(report, indent=2) + "\n")
    _show(findings)
    if faults:
        raise typer.Exit(1)


async def _measured(
    agent: str, placing: Placing, table: RegionTable | None
) -> list[latency_report.RegionTimes]:
    settings = read_settings()
    served, _ = check_agent(settings, agent)
    return await latency_report.measure(settings, served, placing, table)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}.") from None


def _show(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        mark = ("✗", "bold red") if finding.fault else ("✓", "green")
        console.print(Text.assemble(mark, f" {finding.subject:<{width}}  ", finding.told))
        if finding.fault:
            console.print(Text.assemble(" " * (width + 4), ("→ ", "bold"), finding.remedy))
    faults = sum(finding.fault for finding in findings)
    console.print()
    if faults:
        console.print(Text(f"{faults} {'faults' if faults > 1 else 'fault'} to mend.", "bold red"))
    else:
        console.print(Text("All is well.", "green"))
