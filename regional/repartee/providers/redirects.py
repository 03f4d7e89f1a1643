"""Redirects: we follow none of a provider's. This refuses it in words, and nobody asks there again for a while.

A redirect to another host would take the key there; one to another path of the same host would make a call's
request twice. Both mean that the base URL is wrong, which an operator has to see.
"""

import math
import time
from urllib.parse import urljoin, urlsplit

from repartee.errors import ProviderError
from repartee.providers.vendor_errors import VendorErrors

PERMANENT = frozenset([301, 308])
"""These say that the address has moved for good: this process asks there no more."""

BELIEVED_S = 60.0
"""For so long another kind of redirect is believed; then it is looked whether it is still there."""


class Moved:
    """What is known of one URL of a provider's: that it redirects, or nothing."""

    def __init__(self, errors: VendorErrors) -> None:
        self._errors = errors
        self._error: ProviderError | None = None
        self._until = -math.inf

    def check(self) -> None:
        """Before the URL is asked. Raises ProviderError while it is known to redirect."""
        if self._error is not None and time.monotonic() < self._until:
            raise self._error.with_traceback(None)

    def redirected(self, status: int, location: str | None, asked: str) -> ProviderError:
        """The error for a redirect, which is remembered; ``asked`` is the URL that was."""
        where = shown(location, asked)
        self._error = self._errors.error(
            f"redirects {shown(None, asked)} to {where} (status {status}), and redirects are not followed",
            status=status,
            retryable=False,
        )
        self._until = math.inf if status in PERMANENT else time.monotonic() + BELIEVED_S
        return self._error


def is_redirect(status: int) -> bool:
    """By HTTP's status."""
    return 300 <= status < 400


def same_origin(location: str | None, asked: str) -> bool:
    """Whether a redirect stays at its scheme, host and port."""
    here, there = urlsplit(asked), urlsplit(urljoin(asked, location or ""))
    return (here.scheme, here.netloc) == (there.scheme, there.netloc)


def shown(location: str | None, asked: str) -> str:
    """An address for people: what may be secret, its query and user, is left out."""
    parts = urlsplit(urljoin(asked, location or ""))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
