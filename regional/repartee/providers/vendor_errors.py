"""Translates a vendor's failures into our words, and holds the one rule of which are worth another try.

Turns everything that fails at a vendor into a :class:`~repartee.errors.ProviderError`, wherever it fails: in a
dial, a request, a message on a socket, a socket's end.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from repartee.errors import ProviderError

BUSY = frozenset([408, 409, 425, 429])
"""HTTP's statuses below 500 that pass by themselves."""

HOPELESS_CLOSES = frozenset([1003, 1007, 1008, 1009, 1010])
"""What a WebSocket is closed with because of what was asked, or of who asked it: the same again ends the same way."""

LASTING = frozenset(
    [
        *("authentication_error", "bad_request", "billing_hard_limit_reached", "insufficient_quota"),
        *("invalid_api_key", "invalid_auth", "invalid_request_error", "model_not_found", "permission_error"),
        *("quota_exceeded", "unparsable_client_message"),
    ]
)
"""Vendors' own names for faults that no second try mends, whatever status they come with."""

PASSING = frozenset(
    [
        *("internal_server_error", "overloaded_error", "rate_limit_error", "rate_limit_exceeded"),
        *("server_error", "session_expired"),
    ]
)
"""Theirs for faults that pass."""

DIAL_ERRORS = (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed)
"""What a failed connection attempt raises; the last if the connection ended before anything was asked on it."""

MOST_WORDS = 200
"""Bytes of a refusal's body that are passed on."""


def is_retryable(status: int | None = None, *words: str | None) -> bool:
    """Whether the same may go well on another try.

    ``status`` is HTTP's, or the code that a WebSocket was closed with; None: nobody answered, or what came could not
    be read. ``words`` are the vendor's own names for the fault, which say more than a status does.
    """
    said = {word.lower() for word in words if word}
    if said & LASTING:
        return False
    if status is None or said & PASSING:
        return True
    if status >= 1000:
        return status not in HOPELESS_CLOSES
    return status in BUSY or status >= 500


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long the vendor asks to be left alone, in s: ``Retry-After-Ms``, or ``Retry-After`` as seconds or a date.

    ``headers`` find their values whatever the case. A date counts from the answer's own ``Date``, so that a wrong
    clock here does not matter. None: nothing is asked, or nothing that can be read.
    """
    try:
        if (ms := headers.get("retry-after-ms")) is not None:
            return max(0.0, float(ms) / 1000)
        asked = headers.get("retry-after")
        if asked is None:
            return None
        if asked.strip().replace(".", "", 1).isdigit():
            return float(asked)
        dated = headers.get("date")
        now = parsedate_to_datetime(dated).timestamp() if dated else time.time()
        return max(0.0, parsedate_to_datetime(asked).timestamp() - now)
    except ValueError:
        return None


class EndedSocket(Protocol):
    """What a socket's end is known by."""

    @property
    def goodbye(self) -> tuple[int | None, str]:
        """The code it was closed with, if any, and the reason."""


@dataclass(frozen=True, slots=True)
class VendorErrors:
    """Makes one vendor's errors. ``label`` is what it is called in a sentence; ``details`` are headers of a refused
    upgrade that say why."""

    provider: str
    stage: str
    label: str
    details: tuple[str, ...] = ()
    variables: tuple[str, str] | None = None
    """Its settings for key and address, where they do not follow from its name."""

    def error(
        self,
        what: str,
        *words: str | None,
        status: int | None = None,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
    ) -> ProviderError:
        """``what`` continues a sentence that begins with the vendor, without its full stop. ``retryable`` is given
        only where no status and no word of the vendor's can tell."""
        if retryable is None:
            retryable = is_retryable(status, *words)
        return ProviderError(
            f"{self.label} {what}.".replace("\n", " ").replace("..", "."),
            provider=self.provider,
            stage=self.stage,
            retryable=retryable,
            status=status,
            retry_after_s=retry_after_s,
            variables=self.variables,
        )

    def unreadable(self, error: Exception) -> ProviderError:
        """For a message that is not what the protocol says."""
        return self.error(f"sent a message that cannot be read ({error})")

    def unread(self, what: str) -> ProviderError:
        """For a call that has stopped reading ``what`` the vendor sends it."""
        return self.error(f"was heard, but the call stopped reading {what}", retryable=False)

    def lost(self, socket: EndedSocket) -> ProviderError:
        """For a socket that has ended."""
        code, reason = socket.goodbye
        said = f"{code} {reason}".strip() if code is not None else "without a word"
        return self.error(f"closed the connection ({said})", status=code)

    def undialled(self, error: BaseException, base_url: str) -> ProviderError:
        """For one of DIAL_ERRORS."""
        if isinstance(error, InvalidStatus):
            return self._refused(error)
        if isinstance(error, TimeoutError):
            return self.error(f"at {base_url} did not answer in time")
        if isinstance(error, InvalidURI):
            wrong = f"has a base URL {base_url!r} that one cannot connect to; use http:// or https://"
            return self.error(wrong, retryable=False)
        return self.error(f"at {base_url} could not be reached: {error}")

    def _refused(self, error: InvalidStatus) -> ProviderError:
        response = error.response
        headers = response.headers
        told = [f"{name}: {headers[name]}" for name in self.details if name in headers]
        if not told and response.body:
            told = [bytes(response.body[:MOST_WORDS]).decode(errors="replace").strip()]
        said = f" ({'; '.join(told)})" if told else ""
        return self.error(
            f"refused the connection with status {response.status_code}{said}",
            status=response.status_code,
            retry_after_s=retry_after_s(headers),
        )
