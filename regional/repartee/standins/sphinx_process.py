"""One run of the process in which speech is recognised, and the pipe to it. See :mod:`.sphinx_worker`.

Owns the process, the pipe and the thread that writes to it, so that a process that does not read holds nobody up.
Knows nothing of streams; whether to start another is :mod:`.sphinx`'s to decide.
"""

import asyncio
import multiprocessing
import queue
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

from repartee.standins import sphinx_worker

STOP_S = 2.0
WAITING_LIMIT = 20_000
"""Messages that may wait to be written; a process that is so far behind (25 MB of audio) has stopped."""


class WorkerProcess:
    """A started process. ``on_message`` gets what it sends; ``on_lost`` is called once if it ends by itself."""

    def __init__(self, on_message: Callable[[tuple[Any, ...]], None], on_lost: Callable[[str], None]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=sphinx_worker.main, args=(other,), daemon=True, name="standins-recogniser"
        )
        self._process.start()
        other.close()
        self._on_message = on_message
        self._on_lost = on_lost
        self._over = False
        self._outbox: queue.Queue[tuple[Any, ...] | None] = queue.Queue(WAITING_LIMIT)
        self._writer = Thread(target=self._write, name="standins-recogniser-writer", daemon=True)
        self._writer.start()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe.fileno(), self._read)

    @property
    def pid(self) -> int | None:
        """The process's id; None once it is over."""
        return None if self._over else self._process.pid

    def send(self, message: tuple[Any, ...]) -> None:
        """Have a message written, without waiting. Lost if the process is."""
        if self._over:
            return
        try:
            self._outbox.put_nowait(message)
        except queue.Full:
            self._lost("it had stopped reading")

    def give_up(self, why: str) -> None:
        """End a process that is of no use any more; ``on_lost`` is called."""
        if not self._over:
            self._lost(why)

    def stop(self) -> None:
        """End the process in good order; ``on_lost`` is not called."""
        if self._over:
            return
        self.send(("stop", 0))
        self._end(STOP_S)

    def _write(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                self._pipe.send(message)
            except OSError:
                return  # the reader sees the end of the pipe, too

    def _read(self) -> None:
        try:
            while not self._over and self._pipe.poll():
                self._on_message(self._pipe.recv())
        except (EOFError, OSError):
            self._lost("")

    def _lost(self, why: str) -> None:
        if not self._over:
            status = self._end(0.0 if why else STOP_S)
            self._on_lost(why or f"exit status {status}")

    def _end(self, patience_s: float) -> int | None:
        """Wait for the process's end, or make one, and free everything; its exit status."""
        self._over = True
        self._loop.remove_reader(self._pipe.fileno())
        if patience_s:
            self._process.join(patience_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        status = self._process.exitcode
        while True:  # make room for the writer's end
            try:
                self._outbox.put_nowait(None)
                break
            except queue.Full:
                self._outbox.get_nowait()
        self._writer.join(STOP_S)
        self._pipe.close()
        self._process.close()
        return status
