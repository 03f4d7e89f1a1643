"""Real recognition: hands each connection's speech to a worker process and brings its words back.

Owns the streams, and what becomes of them when a process dies: another is started, and each stream tells it anew
what it has not had words for. Knows nothing of turns or of the wire. See :mod:`repartee.standins.sphinx_worker`.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from repartee.standins.detector import VAD_HZ, Detector
from repartee.standins.domain import UNFINISHED_ENDINGS
from repartee.standins.recogniser import Word, written
from repartee.standins.sphinx_process import WorkerProcess
from repartee.standins.understanding import is_understood

log = logging.getLogger("standins.recogniser")

READY_S = 30.0
FIRST_RESTART_S = 0.0
NEXT_RESTART_S = 1.0
SLOWEST_RESTART_S = 10.0
"""A worker that dies is started again at once; one that dies again soon, after a wait that doubles up to this."""

SETTLED_S = 30.0
"""A worker that lived so long counts as sound."""

PREROLL_MS = 200
"""Audio from before the onset that goes to the recogniser too: soft beginnings of words."""

ANSWER_S = 0.05
"""How soon words can be known of audio that comes at the pace of speech."""

BATCH_BYTES = VAD_HZ // 50 * 2 * 2
"""Audio goes to the worker in pieces of 40 ms."""

JOURNAL_BYTES = VAD_HZ * 2 * 60
"""Audio that a stream keeps for a worker to come: a minute, as long as an utterance is listened to."""


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
                await worker.wait_ready()
            yield cls(workers)
        finally:
            for worker in workers:
                worker.stop()

    def recogniser(self) -> "SphinxRecogniser":
        """A recogniser for a new connection, on the worker with the fewest; one that is up comes first."""
        worker = min(self._workers, key=lambda each: (not each.up, len(each.streams)))
        self._opened += 1
        return SphinxRecogniser(worker, self._opened)

    def health(self) -> Mapping[str, Any]:
        """How many workers there are, how many are up (and their process ids), how often one was restarted."""
        return {
            "workers": len(self._workers),
            "up": sum(worker.up for worker in self._workers),
            "restarts": sum(worker.restarts for worker in self._workers),
            "pids": [worker.pid for worker in self._workers],
        }


class _Worker:
    """A process, and its successor when it dies."""

    def __init__(self) -> None:
        self.streams: dict[int, SphinxRecogniser] = {}
        self.up = False
        self.restarts = 0
        self._loop = asyncio.get_running_loop()
        self._settled = asyncio.Event()
        self._failed = False
        self._pause_s = FIRST_RESTART_S
        self._timer: asyncio.TimerHandle | None = None
        self._start()

    @property
    def pid(self) -> int | None:
        """The process's id, or None while there is none."""
        return self._process.pid

    async def wait_ready(self) -> None:
        """Wait until the models are loaded for the first time. Raises RecognitionUnavailable."""
        await self._settled.wait()
        if self._failed:
            raise RecognitionUnavailable(
                "Speech recognition did not start: is pocketsphinx installed, and the machine not overloaded? "
                "The light mode does without."
            )

    def send(self, *message: Any) -> None:
        """Hand the worker a message; lost while there is none."""
        if self.up:
            self._process.send(message)

    def stop(self) -> None:
        """End the process."""
        self.up = False
        if self._timer is not None:
            self._timer.cancel()
        self._process.stop()

    def _start(self) -> None:
        self._started_s = self._loop.time()
        self._process = WorkerProcess(self._take, self._lost)
        self._timer = self._loop.call_later(READY_S, self._process.give_up, f"not ready after {READY_S:g} s")

    def _take(self, message: tuple[Any, ...]) -> None:
        kind, stream_id, ticket, words = message
        if kind == "ready":
            self._ready()
        elif (stream := self.streams.get(stream_id)) is not None:
            stream.take(kind, ticket, [Word(*word) for word in words])

    def _ready(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.up = True
        self._settled.set()
        for stream in list(self.streams.values()):
            stream.replay()

    def _lost(self, why: str) -> None:
        self.up = False
        if self._timer is not None:
            self._timer.cancel()
        if not self._settled.is_set():
            self._failed = True
            self._settled.set()
            return
        if self._loop.time() - self._started_s > SETTLED_S:
            self._pause_s = FIRST_RESTART_S
        log.error("Speech recognition stopped (%s); starting it again in %g s.", why, self._pause_s)
        self.restarts += 1
        for stream in list(self.streams.values()):
            stream.lost()
        self._timer = self._loop.call_later(self._pause_s, self._start)
        self._pause_s = min(SLOWEST_RESTART_S, max(NEXT_RESTART_S, 2 * self._pause_s))


class SphinxRecogniser:
    """One connection's recognition, on a decoder that is its own until closed."""

    unsettled_ms = 800.0

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
        self._begun_at = self._asked_at = -math.inf
        self._tickets: dict[int, Callable[[list[Word]], None]] = {}
        self._ticket = 0
        self._journal: list[tuple[Any, ...]] = []
        """What the worker was sent since all words were last known: the next worker gets it again."""
        self._journal_bytes = 0
        self._replayed = False
        worker.streams[stream_id] = self
        worker.send("open", stream_id)

    @property
    def unfinished(self) -> bool:
        """Whether the words so far break off."""
        return bool(self._partial) and self._partial[-1].text.lower() in UNFINISHED_ENDINGS

    @property
    def understood(self) -> bool:
        """Whether the words so far make sense here; not while those that were asked for are still being made out."""
        if self._tickets and time.monotonic() - self._asked_at > ANSWER_S:
            return False
        return is_understood([word.text for word in self._partial])

    @property
    def wordless(self) -> bool:
        """There is no word yet, though one could be known. Of audio that comes faster than it is spoken, none can."""
        return not self._partial and time.monotonic() - self._begun_at > ANSWER_S

    def hear(self, pcm: bytes) -> None:
        """Audio as it comes; a little of it is kept for when an utterance turns out to have begun."""
        if not pcm:
            return
        self._heard_bytes += len(pcm)
        if self._listening:
            self._batch.append(pcm)
            self._batch_bytes += len(pcm)
            if self._batch_bytes >= BATCH_BYTES:
                self._flush()
        # Kept during an utterance too: the next one may begin within the message that ends it.
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
        self._listening = True
        self._batch.clear()
        self._batch_bytes = 0
        self._partial = []
        self._begun_at = time.monotonic()
        self._forget_settled()
        self._tell("begin", start / 2 / VAD_HZ, audio)

    def partial(self, heard: Detector) -> list[Word]:
        """The words of the last look, which is at most some 100 ms old."""
        return written(self._partial, ended=False)

    def finish(self, heard: Detector, done: Callable[[list[Word]], None]) -> None:
        """All words; ``done`` is called some milliseconds later, also if the utterance is reset meanwhile."""
        self._flush()
        if not self._tickets:
            self._asked_at = time.monotonic()
        self._ticket += 1
        self._tickets[self._ticket] = done
        self._tell("finish", self._ticket)

    def resume(self, *, after_pause: bool) -> None:
        """The utterance goes on: the decoder was never stopped."""

    def reset(self) -> None:
        """The utterance is over."""
        if self._listening:
            self._listening = False
            self._batch.clear()
            self._batch_bytes = 0
            self._partial = []
            self._tell("reset")
            self._forget_settled()

    def close(self) -> None:
        """Give the decoder back."""
        if self._worker.streams.pop(self._id, None) is not None:
            self._worker.send("close", self._id)

    def take(self, kind: str, ticket: int, words: list[Word]) -> None:
        """Words from the worker."""
        if self._listening:
            self._partial = words
        done = self._tickets.pop(ticket, None) if kind == "final" else None
        if not self._listening:
            self._forget_settled()
        if done is not None:
            done(written(words, ended=True))

    def lost(self) -> None:
        """The worker is gone. What it had not answered goes to the next, but once only: it may be what killed it."""
        if self._replayed:
            self._journal.clear()
            self._journal_bytes = 0
            waiting, self._tickets = self._tickets, {}
            for done in waiting.values():
                done(written(self._partial, ended=True))

    def replay(self) -> None:
        """Another worker is up: tell it what the one before it was told."""
        self._worker.send("open", self._id)
        self._replayed = bool(self._journal)
        for op, *rest in self._journal:
            self._worker.send(op, self._id, *rest)

    def _tell(self, op: str, *rest: Any) -> None:
        """Tell the worker, and remember it for the next."""
        size = sum(len(part) for part in rest if isinstance(part, bytes))
        if not size or self._journal_bytes + size <= JOURNAL_BYTES:
            self._journal.append((op, *rest))
            self._journal_bytes += size
        self._worker.send(op, self._id, *rest)

    def _forget_settled(self) -> None:
        """Nothing before this is of use to another worker, unless words of it are still being made out."""
        if not self._tickets:
            self._journal.clear()
            self._journal_bytes = 0
            self._replayed = False

    def _flush(self) -> None:
        if self._batch:
            self._tell("hear", b"".join(self._batch))
            self._batch.clear()
            self._batch_bytes = 0
