"""ECS task protection: a worker with calls asks not to be stopped by a deployment or a scale-in.

Owns when to ask (pure: :class:`ProtectionPolicy`) and the asking, through the agent endpoint that ECS gives each
container. Nothing here is ever awaited by a call. Protection runs out by itself, so a worker that hangs is not kept.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import httpx
import msgspec

from repartee.latency.backoff import backoff_s
from repartee.wire import outside_json

log = logging.getLogger(__name__)

STATE_PATH = "/task-protection/v1/state"
ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class ProtectionSettings:
    """For how long protection is asked, how soon it is renewed, and the pauses after failures (they double)."""

    lasts_min: int = 60
    renew_after_s: float = 1_200.0
    retry_first_s: float = 1.0
    retry_longest_s: float = 60.0


class ProtectionPolicy:
    """Whether to ask for protection, or for its end. ``now`` is seconds of one clock; a task starts unprotected."""

    def __init__(self, settings: ProtectionSettings) -> None:
        self.settings = settings
        self._protected: bool | None = False
        """None: unknown, as a request may have failed before or after it was carried out."""
        self._renew_at = 0.0
        self._failures = 0
        self._retry_at = 0.0

    def __repr__(self) -> str:
        state = {True: "protected", False: "unprotected", None: "unknown"}[self._protected]
        return f"<ProtectionPolicy: {state}{f', {self._failures} failed' if self._failures else ''}>"

    def due(self, now: float, calls: int) -> bool | None:
        """What to ask for now: True protection, False its end, None nothing."""
        wanted = calls > 0
        fresh = self._protected is wanted and not (wanted and now >= self._renew_at)
        return None if fresh or now < self._retry_at else wanted

    def wake_at(self, calls: int) -> float | None:
        """When to ask ``due`` again although the number of calls has not changed; None: not before it does."""
        if self._protected is not (calls > 0):
            return self._retry_at
        return max(self._renew_at, self._retry_at) if calls > 0 else None

    def succeeded(self, protected: bool, now: float) -> None:
        """ECS has done what was asked."""
        self._protected = protected
        self._renew_at = now + self.settings.renew_after_s
        self._failures, self._retry_at = 0, 0.0

    def failed(self, now: float) -> float:
        """ECS has not, as far as we know. Returns the pause before the next attempt, in seconds."""
        settings = self.settings
        pause = backoff_s(self._failures + 1, first_s=settings.retry_first_s, most_s=settings.retry_longest_s)
        self._protected = None
        self._failures += 1
        self._retry_at = now + pause
        return pause


class ProtectionRefused(Exception):
    """ECS answered, but with a refusal; the message quotes it."""


class TaskProtection:
    """Keeps this task's protection in step with its calls."""

    def __init__(
        self, agent_uri: str, calls: Callable[[], int], settings: ProtectionSettings | None = None
    ) -> None:
        self._url = agent_uri + STATE_PATH
        self._calls = calls
        self._policy = ProtectionPolicy(settings or ProtectionSettings())
        self._changed = asyncio.Event()

    def calls_changed(self) -> None:
        """Look at the number of calls again, soon."""
        self._changed.set()

    async def run(self) -> None:
        """Ask whenever it is due, until cancelled."""
        now = asyncio.get_running_loop().time
        async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_S) as client:
            while True:
                self._changed.clear()
                wanted = self._policy.due(now(), self._calls())
                if wanted is not None:
                    await self._ask(client, wanted, now)
                    continue
                wake_at = self._policy.wake_at(self._calls())
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(wake_at):
                        await self._changed.wait()

    async def _ask(self, client: httpx.AsyncClient, protect: bool, now: Callable[[], float]) -> None:
        body: dict[str, object] = {"ProtectionEnabled": protect}
        if protect:
            body["ExpiresInMinutes"] = self._policy.settings.lasts_min
        what = "protecting this task" if protect else "ending this task's protection"
        try:
            _check(await client.put(self._url, json=body), protect)
        except (httpx.HTTPError, ProtectionRefused) as error:
            pause_s = self._policy.failed(now())
            log.warning(
                "%s failed: %s; trying again in %.0f s", what, str(error) or type(error).__name__, pause_s
            )
        else:
            self._policy.succeeded(protect, now())
            log.info("%s has worked; asking ECS again when that must change", what)


def _check(answer: httpx.Response, protect: bool) -> None:
    """Raises ProtectionRefused unless ECS says that the task is now as it was asked to be."""
    try:
        said = outside_json.decode(answer.content)
        done = answer.is_success and said["protection"]["ProtectionEnabled"] is protect
    except (msgspec.DecodeError, UnicodeError, KeyError, TypeError):
        done = False
    if not done:
        raise ProtectionRefused(f"ECS answered {answer.status_code}: {' '.join(answer.text.split())[:300]}")
