"""What a worker does beside its calls: it reports to others (CloudWatch, the ECS agent, the edge), and watches the
agent's file. Each runs only if it is set; none can hurt a call, or another of them.
"""

import asyncio
import io
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from repartee.app.aws.cloudwatch import CloudWatch
from repartee.app.aws.task_protection import TaskProtection
from repartee.app.fleet.heartbeat import Heartbeat, HeartbeatSettings
from repartee.app.reload import AgentWatch
from repartee.app.settings import Settings
from repartee.app.worker import Worker, WorkerParts, WorkerState, ticket_keys
from repartee.telemetry.tally import TurnTally

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reported:
    """Who is reported on: its state, a way to hear that it has changed, and a new tally of its turns."""

    state: Callable[[], WorkerState]
    watch: Callable[[Callable[[], None]], None]
    tally: Callable[[], TurnTally]


def one_worker(worker: Worker) -> Reported:
    """A worker that is one process."""
    return Reported(worker.state, worker.watch, worker.new_tally)


@asynccontextmanager
async def reporting(settings: Settings, reported: Reported) -> AsyncIterator[None]:
    """Report as the settings say, for as long as the block lasts."""
    jobs: list[Callable[[], Awaitable[None]]] = []
    heartbeat: Heartbeat | None = None
    if settings.cloudwatch == "emf":
        jobs.append(CloudWatch(settings.region, reported.state, reported.tally(), sys.stdout).run)
    if settings.ecs_agent_uri:
        protection = TaskProtection(settings.ecs_agent_uri, lambda: reported.state().active)
        reported.watch(protection.calls_changed)
        jobs.append(protection.run)
    keys = ticket_keys(settings)
    if settings.edge_url and keys is not None:
        heartbeats = HeartbeatSettings(settings.edge_url, settings.region, keys, settings.heartbeat_s)
        heartbeat = Heartbeat(heartbeats, reported.state, reported.tally())
        reported.watch(heartbeat.state_changed)
        jobs.append(heartbeat.run)
    tasks = [asyncio.create_task(_guarded(job)) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if heartbeat is not None:
            await heartbeat.farewell()


@asynccontextmanager
async def watching(worker: Worker, parts: WorkerParts, *, announce: bool = True) -> AsyncIterator[None]:
    """Load the agent again when its file changes, if the settings ask for that; ``announce``: and tell the user."""
    if not parts.watched_agent:
        yield
        return
    out = sys.stdout if announce else io.StringIO()
    watch = AgentWatch(parts.watched_agent, parts.agent, worker.serve, out)
    task = asyncio.create_task(_guarded(watch.run))
    try:
        yield
    finally:
        task.cancel()


async def _guarded(job: Callable[[], Awaitable[None]]) -> None:
    """A fault of this program in one of these must be seen, and must stay its own."""
    try:
        await job()
    except Exception:
        log.exception("a background task of the worker failed; going on without it")
