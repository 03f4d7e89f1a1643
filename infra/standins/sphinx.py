"""Real recognition: hands each connection's speech to a worker process and brings its words back.

Owns the processes and the pipes. Knows nothing of turns or of the wire. See :mod:`standins.sphinx_worker`.
"""

import asyncio
import multiprocessing
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from typing import Any

from standins import sphinx_worker
from standins.detector import VAD_HZ, Detector
from standins.domain import UNFINISHED_ENDINGS
from standins.ears import Word, written

READY_S = 30.0
STOP_S = 2.0
PREROLL_MS = 200
"""Audio from before the onset that goes to the recogniser too: soft beginnings of words."""

BATCH_BYTES = VAD_HZ // 50 * 2 * 2
"""Audio goes to the worker in pieces of 40 ms."""


class RecognitionUnavailable(RuntimeError):
    """Speech recognition did not start; the message says what to do."""


class SphinxPool:
    """Worker processes, each serving several connections."""

    def __init__(self, workers: list["_Worker"]) -> None:
        self._workers = workers
        self._opened = 0

    @classmethod
    @asynccontextmanager
    async def started(cls, count: int) -> AsyncIterator["SphinxPool"]:
        """Worker processes for as long as the block lasts. Raises RecognitionUnavailable."""
        workers = [_Worker() for _ in range(max(1, count))]
        try:
            for worker in workers:
                await worker.ready()
            yield cls(workers)
        finally:
            for worker in workers:
                worker.stop()

    def recogniser(self) -> "SphinxRecogniser":
        """A recogniser for a new connection, on the worker with the fewest."""
        worker = min(self._workers, key=lambda each: len(each.streams))
        self._opened += 1
        return SphinxRecogniser(worker, self._opened)


class _Worker:
    """One process and its pipe. Writing does not block: what the worker takes is small, and it is fast."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=sphinx_worker.main, args=(other,), daemon=True, name="standins-ears"
        )
        self._process.start()
        other.close()
        self.streams: dict[int, SphinxRecogniser] = {}
        self._ready = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe.fileno(), self._read)
        self._dead = False

    async def ready(self) -> None:
        """Wait until the models are loaded."""
        try:
            async with asyncio.timeout(READY_S):
                await self._ready.wait()
        except TimeoutError:
            raise RecognitionUnavailable(
                "Speech recognition did not start within 30 s: is the machine overloaded? The light mode needs none."
            ) from None
        if self._dead:
            raise RecognitionUnavailable(
                "Speech recognition stopped as it started: is pocketsphinx installed? The light mode does without."
            )

    def send(self, *message: Any) -> None:
        """Hand the worker a message; lost if the worker is."""
        if not self._dead:
            try:
                self._pipe.send(message)
            except OSError:
                self._lost()

    def _read(self) -> None:
        try:
            while self._pipe.poll():
                kind, stream_id, ticket, words = self._pipe.recv()
                if kind == "ready":
                    self._ready.set()
                elif (stream := self.streams.get(stream_id)) is not None:
                    stream.take(kind, ticket, [Word(*word) for word in words])
        except (EOFError, OSError):
            self._lost()

    def _lost(self) -> None:
        self._dead = True
        self._loop.remove_reader(self._pipe.fileno())
        self._ready.set()
        for stream in list(self.streams.values()):
            stream.give_up()

    def stop(self) -> None:
        """End the process."""
        if not self._dead:
            self.send("stop", 0)
        if not self._dead:
            self._dead = True
            self._loop.remove_reader(self._pipe.fileno())
        self._pipe.close()
        self._process.join(STOP_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


class SphinxRecogniser:
    """One connection's recognition, on a decoder that is its own until closed."""

    def __init__(self, worker: _Worker, stream_id: int) -> None:
        self._worker = worker
        self._id = stream_id
        self._before: deque[bytes] = deque()
        self._before_bytes = 0
        self._heard_bytes = 0
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._listening = False
        self._partial: list[Word] = []
        self._tickets: dict[int, Callable[[list[Word]], None]] = {}
        self._ticket = 0
        worker.streams[stream_id] = self
        worker.send("open", stream_id)

    @property
    def unfinished(self) -> bool:
        """Whether the words so far break off."""
        return bool(self._partial) and self._partial[-1].text.lower() in UNFINISHED_ENDINGS

    def hear(self, pcm: bytes) -> None:
        """Audio as it comes; a little of it is kept for when an utterance turns out to have begun."""
        self._heard_bytes += len(pcm)
        if self._listening:
            self._batch.append(pcm)
            self._batch_bytes += len(pcm)
            if self._batch_bytes >= BATCH_BYTES:
                self._flush()
            return
        self._before.append(pcm)
        self._before_bytes += len(pcm)
        limit = VAD_HZ * 2 * (PREROLL_MS + 300) // 1000
        while self._before_bytes - len(self._before[0]) > limit:
            self._before_bytes -= len(self._before.popleft())

    def begin(self, onset_ms: float) -> None:
        """An utterance has begun; it is recognised from shortly before its onset."""
        wanted = int(onset_ms * VAD_HZ / 1000) * 2 - VAD_HZ * 2 * PREROLL_MS // 1000
        start = max(self._heard_bytes - self._before_bytes, wanted // 2 * 2, 0)
        audio = b"".join(self._before)[start - (self._heard_bytes - self._before_bytes) :]
        self._forget_before()
        self._listening = True
        self._partial = []
        self._worker.send("begin", self._id, start / 2 / VAD_HZ, audio)

    def partial(self, heard: Detector) -> list[Word]:
        """The words of the last look, which is at most some 100 ms old."""
        return written(self._partial, ended=False)

    def finish(self, heard: Detector, done: Callable[[list[Word]], None]) -> None:
        """All words; ``done`` is called some milliseconds later, also if the utterance is reset meanwhile."""
        self._flush()
        self._ticket += 1
        self._tickets[self._ticket] = done
        self._worker.send("finish", self._id, self._ticket)

    def resume(self, *, after_pause: bool) -> None:
        """The utterance goes on: the decoder was never stopped."""

    def reset(self) -> None:
        """The utterance is over."""
        if self._listening:
            self._listening = False
            self._batch.clear()
            self._batch_bytes = 0
            self._partial = []
            self._worker.send("reset", self._id)

    def close(self) -> None:
        """Give the decoder back."""
        if self._worker.streams.pop(self._id, None) is not None:
            self._worker.send("close", self._id)

    def take(self, kind: str, ticket: int, words: list[Word]) -> None:
        """Words from the worker."""
        if self._listening:
            self._partial = words
        done = self._tickets.pop(ticket, None) if kind == "final" else None
        if done is not None:
            done(written(words, ended=True))

    def give_up(self) -> None:
        """The worker is gone: whoever waits for words gets those there are."""
        waiting, self._tickets = self._tickets, {}
        for done in waiting.values():
            done(written(self._partial, ended=True))

    def _flush(self) -> None:
        if self._batch:
            self._worker.send("hear", self._id, b"".join(self._batch))
            self._batch.clear()
            self._batch_bytes = 0

    def _forget_before(self) -> None:
        self._before.clear()
        self._before_bytes = 0
