"""What lets a caller by telephone into its call's events: a ticket of the region to which the edge sends callers."""

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import httpx

from repartee.client.faults import CallFailed

SESSION_PATH = "/v1/voice/session"
WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class EdgeTickets:
    """Asks an edge at ``edge_url`` for tickets, each good for one connection."""

    edge_url: str
    api_key: str

    def region(self) -> str:
        """The region's address. Raises CallFailed."""
        return self._ask()["url"]

    def ticket(self, region: str) -> str:
        """One more. Raises CallFailed."""
        return self._ask()["token"]

    def _ask(self) -> dict[str, str]:
        parts = urlsplit(self.edge_url)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        url = urlunsplit((scheme, parts.netloc, SESSION_PATH, "", ""))
        try:
            headers = {"authorization": f"Bearer {self.api_key}"}
            answer = httpx.post(url, headers=headers, timeout=WITHIN_S, trust_env=False)
            answer.raise_for_status()
            said: dict[str, str] = answer.json()
            return {"url": said["url"], "token": said["token"]}
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as fault:
            raise CallFailed(f"The edge at {url} gives no ticket for the call's events: {fault}") from None
