"""What can go wrong with a call, each in a sentence that says what to do about it."""

from collections.abc import Sequence
from http import HTTPStatus

from repartee.errors import VoiceError


class CallFailed(VoiceError):
    """The call could not be placed, or broke off."""


def refused(url: str, status: int, body: str, retry_after: str | None) -> CallFailed:
    """The server answered the upgrade with an HTTP status."""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return CallFailed(
            f"{url} refused the API key: set REPARTEE_API_KEY (or pass --key) to the one the edge was given."
        )
    if status == HTTPStatus.NOT_FOUND:
        return CallFailed(f"There is no voice session at {url}: the path is /v1/voice/session.")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        wait = f" Try again in {retry_after} s." if retry_after else " Try again in a moment."
        return CallFailed(f"{url} takes no further call just now.{wait}{_said(body)}")
    return CallFailed(f"{url} refused the call with HTTP status {status}.{_said(body)}")


def unreachable(url: str, error: Exception) -> CallFailed:
    """Nobody answered at all."""
    if isinstance(error, ConnectionRefusedError):
        return CallFailed(
            f"Nothing listens at {url}: is it running? `repartee up` starts a whole system here."
        )
    if isinstance(error, TimeoutError):
        return CallFailed(f"{url} did not answer in time.")
    return CallFailed(f"{url} cannot be reached: {str(error) or type(error).__name__}.")


def call_elsewhere(regions: Sequence[str]) -> CallFailed:
    """A carrier has connected a call by telephone, and none of these regions has it."""
    return CallFailed(
        f"The carrier has connected the call, but {' and '.join(regions)} does not have it, and the edge lets nobody "
        "into another region's calls. Let there be one region: `repartee up --telephone --regions 1`."
    )


def broken_off(code: int | None, reason: str) -> CallFailed:
    """The server closed the connection, or it was lost, in the middle of a call."""
    if code is None or code == 1006:
        return CallFailed("The connection was lost in the middle of the call.")
    said = f": {reason}" if reason else ""
    return CallFailed(f"The server ended the call (close code {code}{said}).")


def _said(body: str) -> str:
    body = " ".join(body.split())
    return f" It said: {body[:300]}" if body else ""
