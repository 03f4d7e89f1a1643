"""One region in several processes: starts them, hands connections to them, ends them, and reports for all.

Owns the processes' lives and the listening socket. Must not know what a call is, nor which command a process runs.
Who gets a connection and when a process is started again is decided in `dispatch`.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from repartee.app.background import Reported, reporting
from repartee.app.processes.arrivals import can_hand_over, hand_over
from repartee.app.processes.dispatch import Candidate, RestartPolicy, preferred
from repartee.app.processes.lobby import Lobby
from repartee.app.processes.membership import hear
from repartee.app.processes.shared_metrics import FOLDER_VARIABLE, process_gone
from repartee.app.processes.shared_table import SharedTable
from repartee.app.settings import Settings
from repartee.telemetry.tally import TurnTally

log = logging.getLogger(__name__)

ACCEPTS_AT_ONCE = 64
NOBODY_ABLE_S = 0.02
"""How soon to look again whether a process can take a connection; it waits in the system's queue meanwhile."""

ACCEPT_FAILED_S = 0.5
END_S = 5.0
"""How long a process may take to end once it got the signal to do so at once, or its drain's time is over."""

INTERRUPTED, TERMINATED, FAULTY = 130, 143, 1


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What a process inherits: the shared table, where its connections come from, where it reports to, a pipe
    that closes when its parent is gone, and the listening socket where a server has to accept by itself (else -1)."""

    table: int
    channel: int
    reports: int
    lifeline: int
    listener: int = -1

    def all(self) -> tuple[int, ...]:
        """All of them."""
        several = (self.table, self.channel, self.reports, self.lifeline, self.listener)
        return tuple(each for each in several if each >= 0)


Command = Callable[[int, Descriptors], Sequence[str]]
"""The command line of the process with this index."""


@dataclass(slots=True)
class _Child:
    """A running process, and this side's ends of what leads to it."""

    index: int
    process: asyncio.subprocess.Process
    channel: socket.socket
    reports: int
    sent: int = 0
    turn: int = 0
    has_started: bool = False


class Processes:
    """A region's processes, seen from their parent."""

    def __init__(self, settings: Settings, count: int, command: Command, listener: socket.socket) -> None:
        self._settings = settings
        self._command = command
        self._listener = listener
        self._table = SharedTable.create(count, settings.max_calls)
        self._children: dict[int, _Child] = {}
        self._watchers: list[Callable[[], None]] = []
        self._tallies: list[TurnTally] = []
        self._ending = asyncio.Event()
        self._at_once = False
        self._status = 0
        self._any_has_started = False
        self._handed = 0
        self._lobby = Lobby()
        self._lifeline, self._held = os.pipe()

    async def run(self) -> int:
        """Run until told to stop by a signal; returns the exit status: 0 after a drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop, number)
        self._listener.setblocking(False)
        reported = Reported(self._table.state, self._watchers.append, self._tally)
        with tempfile.TemporaryDirectory(prefix="repartee-metrics-") as folder:
            async with reporting(self._settings, reported):
                loop.add_reader(self._listener.fileno(), self._accept)
                lives = [asyncio.create_task(self._keep(n, folder)) for n in range(self._table.processes)]
                enforcing = asyncio.create_task(self._enforce_end())
                try:
                    await asyncio.gather(*lives)
                finally:
                    enforcing.cancel()
                    loop.remove_reader(self._listener.fileno())
                    await self._lobby.aclose()
        os.close(self._held)
        os.close(self._lifeline)
        self._table.close()
        return self._status

    def _tally(self) -> TurnTally:
        tally = TurnTally()
        self._tallies.append(tally)
        return tally

    def _changed(self) -> None:
        for call in self._watchers:
            call()

    # Their lives.

    async def _keep(self, index: int, folder: str) -> None:
        """Have a process with this index until the end."""
        restarts = RestartPolicy()
        while not self._ending.is_set():
            born_at = time.monotonic()
            how = await self._live(index, folder)
            if self._ending.is_set():
                return
            if not self._any_has_started:
                log.error("process %d %s before it had started; stopping the region", index + 1, how)
                self._end(FAULTY)
                return
            pause_s = restarts.pause_s(time.monotonic() - born_at)
            log.warning("process %d %s; a new one starts in %.1f s", index + 1, how, pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause_s)

    async def _live(self, index: int, folder: str) -> str:
        """One process's life; returns how it ended."""
        try:
            child = await self._start(index, folder)
        except OSError as error:
            return f"could not be started ({error.strerror or error})"
        async with self._running(child, folder):
            status = await child.process.wait()
            child.has_started |= self._table.row(index).started
        if self._ending.is_set():
            self._judge(child, status)
        how = f"was ended by signal {-status}" if status < 0 else f"stopped with exit status {status}"
        return f"(pid {child.process.pid}) {how}"

    @contextlib.asynccontextmanager
    async def _running(self, child: _Child, folder: str) -> AsyncIterator[None]:
        """A process, from its start until it has ended by itself and nothing is left of it."""
        loop, index = asyncio.get_running_loop(), child.index
        self._children[index] = child
        loop.add_reader(child.reports, self._hear, child)
        if self._ending.is_set():
            _signal(child, signal.SIGTERM)
        try:
            yield
        finally:
            del self._children[index]
            while self._hear(child):
                pass
            loop.remove_reader(child.reports)
            os.close(child.reports)
            child.channel.close()
            self._table.clear(index)
            process_gone(child.process.pid, folder)
            self._changed()

    async def _start(self, index: int, folder: str) -> _Child:
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            channel, far_channel = socket.socketpair()
            ours.enter_context(channel)
            theirs.enter_context(far_channel)
            reports, far_reports = os.pipe()
            ours.callback(os.close, reports)
            theirs.callback(os.close, far_reports)
            channel.setblocking(False)
            os.set_blocking(reports, False)
            os.set_blocking(far_reports, False)
            listener = -1 if can_hand_over() else self._listener.fileno()
            given = Descriptors(
                self._table.descriptor, far_channel.fileno(), far_reports, self._lifeline, listener
            )
            process = await asyncio.create_subprocess_exec(
                *self._command(index, given),
                env={**os.environ, FOLDER_VARIABLE: folder},
                pass_fds=given.all(),
                # A signal for all of the terminal's processes is for this one: it tells the others.
                start_new_session=True,
            )
            ours.pop_all()
        return _Child(index, process, channel, reports)

    def _hear(self, child: _Child) -> bool:
        """What a process reports; False when nothing is left to hear for now."""
        heard = hear(child.reports, self._tallies)
        if heard is False:
            asyncio.get_running_loop().remove_reader(child.reports)
        if self._table.row(child.index).started:
            child.has_started = self._any_has_started = True
        self._changed()
        return bool(heard)

    # Their ends.

    def _told_to_stop(self, number: signal.Signals) -> None:
        """SIGTERM drains; SIGINT, or a second SIGTERM, ends everything at once."""
        if number == signal.SIGTERM and not self._ending.is_set():
            self._end(0)
            return
        self._at_once = True
        self._end(INTERRUPTED if number == signal.SIGINT else TERMINATED)

    def _end(self, status: int) -> None:
        self._status = status
        was_ending = self._ending.is_set()
        self._table.begin_drain()
        self._ending.set()
        for child in self._children.values():
            started = self._table.row(child.index).started
            if not was_ending:
                _signal(child, signal.SIGTERM)
            if self._at_once and started:
                _signal(child, signal.SIGINT)
            elif self._at_once:
                _signal(child, signal.SIGKILL)
        self._changed()

    def _judge(self, child: _Child, status: int) -> None:
        """A process that served and did not end well in a drain is a fault of the whole."""
        if child.has_started and status and not self._status:
            log.error(
                "process %d (pid %d) ended with status %d; the region will end with an error",
                child.index + 1,
                child.process.pid,
                status,
            )
            self._status = FAULTY

    async def _enforce_end(self) -> None:
        """Kill what does not end in time."""
        await self._ending.wait()
        deadline = time.monotonic() + self._settings.drain_s + END_S
        while time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            if self._at_once:
                deadline = min(deadline, time.monotonic() + END_S)
                self._at_once = False
        for child in self._children.values():
            _signal(child, signal.SIGKILL)

    # Their connections.

    def _accept(self) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            candidates = [self._candidate(child) for child in self._children.values()]
            has_started = any(each.row.started for each in candidates)
            able = preferred(candidates) if can_hand_over() else []
            if not able and (has_started or self._lobby.is_full):
                self._pause(NOBODY_ABLE_S)
                return
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                log.error(
                    "cannot accept connections: %s; trying again in %g s",
                    error.strerror or error,
                    ACCEPT_FAILED_S,
                )
                self._pause(ACCEPT_FAILED_S)
                return
            if not able:
                self._lobby.take(connection, draining=self._ending.is_set())
                continue
            with connection:
                self._give(connection, able)

    def _give(self, connection: socket.socket, able: Sequence[int]) -> None:
        """To the first that takes it; where none does, it is closed."""
        for index in able:
            child = self._children[index]
            if hand_over(child.channel, connection):
                self._handed += 1
                child.sent, child.turn = child.sent + 1, self._handed
                return

    def _candidate(self, child: _Child) -> Candidate:
        return Candidate(child.index, self._table.row(child.index), child.sent, child.turn)

    def _pause(self, pause_s: float) -> None:
        """Leave connections where they are for a while."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener.fileno())
        loop.call_later(pause_s, self._resume)

    def _resume(self) -> None:
        """Look again, unless the region ends and nobody is left."""
        if self._children or not self._ending.is_set():
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)


def _signal(child: _Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.process.send_signal(number)
