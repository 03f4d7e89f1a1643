"""What the benchmarks share: a worker on a core of its own, stand-ins and load on another, and what came of it.

Owns who runs where, what a run's figures are, and which runs count. Must not know which question a benchmark asks.
"""

import gc
import json
import math
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from repartee.bench.distance import distant
from repartee.bench.load import FRAME_MS, Load, LoadCall, Measured, open_calls, run_load
from repartee.client.faults import CallFailed
from repartee.client.report import percentile
from repartee.errors import VoiceError
from repartee.launch.local_system import STANDIN_KEY
from repartee.launch.processes import TIED, Part, on_cores, running
from repartee.providers.deepgram import NovaSettings
from repartee.providers.vendors import ACCOUNTS

LATENESS_LIMIT_MS = 10.0
"""A generator that sends its frames later than this (P99) measures itself, not the worker."""

REPLIES = ("I can do it now.", "We are open all day.", "That is quite all right.", "You have it in full.")
"""One sentence of six tokens each, as the floor counts them; none lasts until the next question."""

PERCENTS = {"p50": 50, "p90": 90, "p99": 99}


class LateGenerator(VoiceError):
    """The run says nothing about the worker: this machine was too busy to place the calls in time."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What the stand-ins and the worker are started with. The worker listens on ``port``, the stand-ins on the next.

    ``replies`` are what the language model says, in turn; ``env`` is the worker's environment beside the providers'.
    ``connect_ms``: how long a connection to a provider takes; if any, the port after the stand-ins' is needed too.
    """

    port: int
    profile: str = "budget"
    replies: Sequence[str] = REPLIES
    env: Mapping[str, str] = field(default_factory=dict)
    connect_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that takes calls: ``command`` gives its arguments for a port, ``launcher`` starts it."""

    name: str
    command: Callable[[int], Sequence[str]]
    launcher: Sequence[str] = TIED


def _region(port: int) -> Sequence[str]:
    return ["region", "--workers", "1", "--allow-anonymous", "--port", str(port)]


REPARTEE = Contender("Repartee", _region)


@dataclass(frozen=True, slots=True)
class Rig:
    """A worker that is up, with its process id, and the stand-ins behind it."""

    url: str
    pid: int
    standins_url: str


@dataclass(frozen=True, slots=True)
class Used:
    """What a process used: CPU seconds and MB of memory."""

    cpu_s: float
    mb: float


@dataclass(frozen=True, slots=True)
class ProfileFloor:
    """The least voice-to-voice latency that a profile allows, ms: with the answer begun on an eager end of turn, and
    (``sequential_ms``) only once the turn has ended.
    """

    ms: float
    sequential_ms: float


@dataclass(frozen=True, slots=True)
class Step:
    """One load and what came of it; ``floors`` by the recognition's name."""

    load: Load
    measured: Measured
    used: Used
    floors: Mapping[str, ProfileFloor]
    standins_late_ms: float


@asynccontextmanager
async def rig(setup: Setup, contender: Contender = REPARTEE) -> AsyncIterator[Rig]:
    """Start the stand-ins and then the worker; this process shares the stand-ins' core. Raises PartFailed."""
    worker_cores, other_cores = cores()
    with tempfile.TemporaryDirectory(prefix="repartee-bench-") as folder, on_cores(other_cores):
        standins = _standins(setup, Path(folder))
        env = {
            **_provider_env(setup),
            "REPARTEE_LATENCY_LOG": str(Path(folder) / "latency.jsonl"),
            # Each run starts without experience, whatever this user's own store holds.
            "DATABASE_URL": "",
            "REPARTEE_STORE_FILE": ":memory:",
            **setup.env,
        }
        command = contender.command(setup.port)
        worker = Part(contender.name, command, setup.port, env=env, cores=worker_cores)
        async with (
            running([[standins]]),
            _distance(setup),
            running([[worker]], launcher=contender.launcher) as parts,
        ):
            yield Rig(worker.url, parts.pid(worker.name), standins.url)


def _provider_env(setup: Setup) -> dict[str, str]:
    url = f"http://127.0.0.1:{setup.port + (2 if setup.connect_ms else 1)}"
    env: dict[str, str] = {}
    for account in ACCOUNTS:
        if account.stand_in is not None:
            env |= {account.key_variable: STANDIN_KEY, account.url_variable: url + account.stand_in}
    return env


def _distance(setup: Setup) -> AbstractAsyncContextManager[None]:
    if not setup.connect_ms:
        return nullcontext()
    return distant(setup.port + 2, setup.port + 1, setup.connect_ms)


def _standins(setup: Setup, folder: Path) -> Part:
    script = folder / "script.json"
    lines = [{"say": "Can you do it?", "reply": reply} for reply in setup.replies]
    script.write_text(json.dumps({"utterances": lines}))
    port = setup.port + 1
    command = [
        "standins",
        "--light",
        "--port",
        str(port),
        "--profile",
        setup.profile,
        "--script",
        str(script),
    ]
    return Part("stand-ins", command, port, "/standins/profile")


def cores() -> tuple[frozenset[int] | None, frozenset[int] | None]:
    """The worker's core, and those for the rest; no choice where there is only one, or the system offers none."""
    offered = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(offered) < 2:
        return None, None
    return frozenset(offered[-1:]), frozenset(offered[:-1][:1])


async def step(bench: Rig, load: Load) -> Step:
    """Place a load on the worker, and see what it used for it. A call that cannot be placed is a fault of the run."""
    measured = Measured()
    idle = usage(bench.pid)
    before = after = idle
    with no_pauses():
        try:
            async with _opened(load, measured) as calls:
                before = usage(bench.pid)
                await run_load(load, measured, calls)
                after = usage(bench.pid)
        except CallFailed as failed:
            measured.faults.append(str(failed))
            measured.unanswered += load.calls * load.turns - len(measured.latencies_ms)
    floors_told, late_ms = await _told_by_standins(bench.standins_url)
    return Step(load, measured, Used(after.cpu_s - before.cpu_s, after.mb - idle.mb), floors_told, late_ms)


def media_env() -> dict[str, str]:
    """This shell's settings of WebRTC's encoder, for the worker that is measured."""
    ours = ("REPARTEE_OPUS_", "REPARTEE_WEBRTC_")
    return {name: value for name, value in os.environ.items() if name.startswith(ours)}


def _opened(load: Load, measured: Measured) -> AbstractAsyncContextManager[list[LoadCall]]:
    if not load.webrtc:
        return open_calls(load, measured)
    from repartee.bench.webrtc_load import open_webrtc_calls  # needs the extra

    return open_webrtc_calls(load, measured)


@contextmanager
def no_pauses() -> Iterator[None]:
    """The generator's own pauses for rubbish would count as the worker's."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def usage(pid: int) -> Used:
    """CPU seconds and resident MB of a process so far; zero where the system does not tell (no /proc)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return Used(0.0, 0.0)
    user, system, resident = int(fields[11]), int(fields[12]), int(fields[21])
    return Used((user + system) / os.sysconf("SC_CLK_TCK"), resident * os.sysconf("SC_PAGE_SIZE") / 1e6)


def sockets(pid: int) -> int:
    """How many sockets a process has open; zero where the system does not tell."""
    count = 0
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                count += descriptor.readlink().name.startswith("socket:")
            except FileNotFoundError:  # closed since
                continue
    except FileNotFoundError:
        return 0
    return count


async def counters(url: str) -> dict[str, float]:
    """A worker's metrics by name, those with labels summed up. Raises httpx.HTTPError."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{url}/metrics")).text
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    return totals


async def _told_by_standins(url: str) -> tuple[Mapping[str, ProfileFloor], float]:
    """The floors of the profile in force, and how late the stand-ins' own timers were (P99)."""
    async with httpx.AsyncClient(trust_env=False) as client:
        profile = (await client.get(f"{url}/standins/profile")).json()
        stats = (await client.get(f"{url}/standins/stats")).json()
    return floors(profile), float(stats["timer_lateness_ms"]["p99"] or 0.0)


def floors(profile: Mapping[str, Any]) -> dict[str, ProfileFloor]:
    """From what the stand-ins tell of their profile.

    Flux's is theirs. With nova, which has no eager end of turn, our own rule says one after so much silence, and the
    turn ends when nova's endpointing, as we ask for it, has passed.
    """
    flux = ProfileFloor(profile["floor_ms"]["flux"], profile["sequential_floor_ms"]["flux"])
    stt = profile["medians"]["stt"]
    answer_ms = flux.sequential_ms - _whole_frames(stt["end_of_turn_ms"]) - stt["extra_ms"]
    nova = NovaSettings("http://nowhere", "")
    eager_ms = _whole_frames(nova.endpointing.eager_silence_ms)
    end_ms = _whole_frames(nova.endpointing_ms) + stt["nova_extra_ms"] + stt["extra_ms"]
    return {"flux": flux, "nova": ProfileFloor(max(end_ms, eager_ms + answer_ms), end_ms + answer_ms)}


def _whole_frames(ms: float) -> float:
    return math.ceil(ms / FRAME_MS - 1e-9) * FRAME_MS


def figures(done: Step, stt: str = "flux") -> dict[str, Any]:
    """A step as the JSON that other programs read."""
    load, measured, used = done.load, done.measured, done.used
    floor_ms = done.floors[stt].ms
    latencies = measured.latencies_ms
    seconds = max(measured.seconds, 1e-9)
    return {
        "calls": load.calls,
        "turns": load.calls * load.turns,
        "audio": "webrtc" if load.webrtc else "binary" if load.binary_audio else "base64",
        "v2v_ms": percentiles(latencies),
        "floor_ms": round(floor_ms, 1),
        "sequential_floor_ms": round(done.floors[stt].sequential_ms, 1),
        "above_floor_ms": percentiles([ms - floor_ms for ms in latencies]),
        "unanswered": measured.unanswered,
        "early": measured.early,
        "generator_lateness_ms": {"p99": rounded(percentile(measured.lateness_ms, 99)) or 0.0},
        "standins_lateness_ms": {"p99": rounded(done.standins_late_ms)},
        "cpu_s_per_call_minute": round(used.cpu_s / (load.calls * seconds / 60), 3),
        "core_used": round(used.cpu_s / seconds, 3),
        "mb_per_call": round(used.mb / load.calls, 3),
        "faults": sorted(set(measured.faults)),
    }


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """P50, P90 and P99 of some values, null where there are none."""
    return {name: rounded(percentile(values, percent)) for name, percent in PERCENTS.items()}


def rounded(ms: float | None) -> float | None:
    """To a hundredth."""
    return None if ms is None else round(ms, 2)


def lateness(told: Mapping[str, Any]) -> str | None:
    """Why a step does not count, in a sentence; None if it does."""
    late_ms = float(told["generator_lateness_ms"]["p99"])
    if late_ms <= LATENESS_LIMIT_MS:
        return None
    return (
        f"This run does not count: at {told['calls']} calls the load generator sent its frames {late_ms:.1f} ms "
        f"late (P99; up to {LATENESS_LIMIT_MS:.0f} are accepted). Let the machine come to rest, or ask for fewer "
        "calls."
    )


async def step_that_counts(setup: Setup, contender: Contender, load: Load) -> dict[str, Any]:
    """A step on a worker of its own; one whose generator was late is repeated once. Raises LateGenerator.

    One short call goes before and does not count: what a program loads with its first call is no call's doing.
    """
    for last in (False, True):
        async with rig(setup, contender) as bench:
            await step(bench, replace(load, calls=1, turns=1))
            told = figures(await step(bench, load))
        late = lateness(told)
        if late is None:
            break
        if last:
            raise LateGenerator(late)
    return told
