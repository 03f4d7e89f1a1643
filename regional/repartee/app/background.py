"""What a worker does beside its calls: it tells others of itself (CloudWatch, the ECS agent, the edge), and watches
the agent's file. Each only where it is set; none can hurt a call, or another of them.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from repartee.app.cloudwatch import CloudWatch
from repartee.app.heartbeat import Heartbeat, HeartbeatConfig
from repartee.app.reload import AgentWatch
from repartee.app.task_protection import TaskProtection
from repartee.app.worker import Worker, WorkerConfig, ticket_keys

log = logging.getLogger(__name__)


@asynccontextmanager
async def reporting(worker: Worker) -> AsyncIterator[None]:
    """Report as the worker's settings say, for as long as the block lasts."""
    settings, tally = worker.settings, worker.telemetry.tally
    jobs: list[Callable[[], Awaitable[None]]] = []
    heartbeat: Heartbeat | None = None
    if settings.cloudwatch == "emf":
        jobs.append(CloudWatch(settings.region, worker.state, tally(), sys.stdout).run)
    if settings.ecs_agent_uri:
        protection = TaskProtection(settings.ecs_agent_uri, lambda: worker.state().active)
        worker.watch(protection.calls_changed)
        jobs.append(protection.run)
    keys = ticket_keys(settings)
    if settings.edge_url and keys is not None:
        config = HeartbeatConfig(settings.edge_url, settings.region, keys, settings.heartbeat_s)
        heartbeat = Heartbeat(config, worker.state, tally())
        worker.watch(heartbeat.state_changed)
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
async def watching(worker: Worker, config: WorkerConfig) -> AsyncIterator[None]:
    """Load the agent anew when its file changes, if that is wanted."""
    if not config.watched_agent:
        yield
        return
    watch = AgentWatch(config.watched_agent, config.agent, worker.serve)
    task = asyncio.create_task(_guarded(watch.run))
    try:
        yield
    finally:
        task.cancel()


async def _guarded(job: Callable[[], Awaitable[None]]) -> None:
    """A fault of ours in one of these must be seen, and must stay its own."""
    try:
        await job()
    except Exception:
        log.exception("a background task of the worker has ended")
