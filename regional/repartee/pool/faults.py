"""What an operator should do about a provider that a pool cannot connect to. Pure.

The names of variables follow from the provider's, unless the error names them: each has ``<PROVIDER>_API_KEY`` and
``<PROVIDER>_BASE_URL``.
"""

import re
from dataclasses import dataclass

from repartee.errors import PoolTimeout, ProviderError, VoiceError

FAULT_WORDS = "cannot connect to"
"""In the log's line about a pool that fails: `repartee up` shows such lines."""

_LACKS = re.compile(r"scope|permission", re.IGNORECASE)
"""In the words of a vendor that knows the key, and does not let it do this."""

MOST_WORDS = 300
"""Characters of a provider's own words that are passed on."""


@dataclass(frozen=True, slots=True)
class PoolFault:
    """A pool whose connections fail: which, why (with the provider's own words), and what to do."""

    pool: str
    why: str
    do: str
    status: int | None = None
    """HTTP's, or the code that a WebSocket was closed with."""

    def as_json(self) -> dict[str, str]:
        """As in the body of ``/readyz``."""
        return {"pool": self.pool, "why": self.why, "do": self.do}


def fault_of(pool: str, error: VoiceError) -> PoolFault:
    """The fault that an error shows."""
    why = " ".join(str(error).split())
    if len(why) > MOST_WORDS:
        why = why[: MOST_WORDS - 1] + "…"
    elif not why.endswith((".", "!", "?")):
        why += "."
    status = error.status if isinstance(error, ProviderError) else None
    return PoolFault(pool, why, remedy(pool, error), status)


def reason_of(error: VoiceError) -> str:
    """Why a dial failed, as a metric's label: ``http_503``, ``closed_1008``, ``timeout``, ``unreachable``."""
    if isinstance(error, ProviderError):
        if error.status is not None:
            return f"{'closed' if error.status >= 1000 else 'http'}_{error.status}"
        return "unreachable"
    return "timeout" if isinstance(error, PoolTimeout) else "fault"


def remedy(pool: str, error: VoiceError) -> str:
    """What to do, in a sentence. The status is that of HTTP, or the code a WebSocket was closed with."""
    provider = error.provider if isinstance(error, ProviderError) else pool.partition("-")[0]
    named = error.variables if isinstance(error, ProviderError) else None
    key, url = named or (f"{provider.upper()}_API_KEY", f"{provider.upper()}_BASE_URL")
    status = error.status if isinstance(error, ProviderError) else None
    if status in (401, 403) and _LACKS.search(str(error)):
        return f"Give the key in {key} the permission that it lacks; docs/vendors says which are needed."
    if status in (401, 403):
        return f"Put a valid key into {key}."
    if status in (402, 429, 1008):
        return f"Look at the account's balance, limits and permissions; end what else uses {key}."
    if status is not None and 300 <= status < 400:
        return f"Set {url} to where it redirects, if that may have your key; or correct it."
    if status == 404:
        return f"Check {url} (with the path that it ends in, such as /v1) and the model's name."
    if status is not None and status >= 500:
        return "The provider is failing: look at its status page."
    if status is not None:
        return f"Check {url}, {key} and the models and voices that are set."
    return f"Check {url} and this machine's network; the provider's status page may know more."
