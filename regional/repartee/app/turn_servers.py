"""TURN servers for callers whose network lets them reach the worker neither by UDP nor by TCP: which, and with what
credentials, which expire. A secret shared with the servers makes them (coturn), or Cloudflare gives them.
"""

import base64
import hmac
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import msgspec

from repartee.app.settings import Settings
from repartee.wire import outside_json

log = logging.getLogger(__name__)

ASK_S: Final = 3.0
"""How long Cloudflare may take: a caller waits for it before it calls."""

MAX_ANSWER_BYTES: Final = 64 * 1024
_PORT_53 = re.compile(r":53(\?|$)")
_PLAIN = re.compile(r"[!#-\[\]-~]{0,1024}")
"""What can stand in quotes in a header."""


@dataclass(frozen=True, slots=True)
class TurnServers:
    """Servers of one set of credentials, as RTCIceServer has them. Without a ``username``, they are STUN servers."""

    urls: Sequence[str]
    username: str = ""
    credential: str = ""

    def as_json(self) -> dict[str, Any]:
        """As a browser's RTCPeerConnection takes it."""
        known = {"username": self.username, "credential": self.credential} if self.username else {}
        return {"urls": list(self.urls), **known}

    def as_links(self) -> Iterable[str]:
        """As values of WHIP's header `Link` (RFC 9725, 4.6)."""
        words = ""
        if self.username:
            words = (
                f'; username="{self.username}"; credential="{self.credential}"; credential-type="password"'
            )
        return (f'<{url}>; rel="ice-server"{words}' for url in self.urls)


def shared_secret_servers(urls: Sequence[str], secret: str, caller: str, expires_at: int) -> TurnServers:
    """With credentials as coturn checks them (draft-uberti-behave-turn-rest); ``expires_at`` in seconds since the
    epoch."""
    username = f"{expires_at}:{re.sub(r'[^0-9A-Za-z_.-]', '', caller)[:64] or 'caller'}"
    digest = hmac.digest(secret.encode(), username.encode(), "sha1")
    return TurnServers(urls, username, base64.b64encode(digest).decode())


async def turn_servers(settings: Settings, caller: str, now: float) -> list[TurnServers]:
    """The servers that ``caller`` may use from now on (``now`` in seconds since the epoch). If Cloudflare does not
    answer, leaves its servers out: most callers need none."""
    found: list[TurnServers] = []
    if urls := [url for one in settings.turn_urls.split(",") if (url := one.strip())]:
        secret = settings.turn_secret.get_secret_value()
        found.append(shared_secret_servers(urls, secret, caller, int(now) + settings.turn_credentials_s))
    if settings.turn_cloudflare_key:
        found += await _cloudflares(settings)
    return found


async def _cloudflares(settings: Settings) -> list[TurnServers]:
    key, token = settings.turn_cloudflare_key, settings.turn_cloudflare_token.get_secret_value()
    url = f"{settings.turn_cloudflare_url}/v1/turn/keys/{key}/credentials/generate-ice-servers"
    try:
        async with httpx.AsyncClient(timeout=ASK_S, trust_env=False) as client:
            answer = await client.post(
                url,
                json={"ttl": settings.turn_credentials_s},
                headers={"Authorization": f"Bearer {token}"},
            )
        answer.raise_for_status()
        return servers_in(outside_json.decode(answer.content[:MAX_ANSWER_BYTES]))
    except (httpx.HTTPError, msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        log.warning("Cloudflare gives no TURN credentials: %r; calling goes on without", error)
        return []


def servers_in(answer: Mapping[str, Any]) -> list[TurnServers]:
    """What Cloudflare's answer lists, without port 53, at which browsers wait in vain. Raises KeyError, TypeError or
    ValueError for what is no such answer."""
    listed = answer["iceServers"]
    found = []
    for each in listed if isinstance(listed, list) else [listed]:
        urls = [each["urls"]] if isinstance(each["urls"], str) else each["urls"]
        words = [*urls, each.get("username", ""), each.get("credential", "")]
        if not all(isinstance(word, str) and _PLAIN.fullmatch(word) for word in words):
            raise ValueError("a URL, a username or a credential is none")
        if kept := [url for url in urls if not _PORT_53.search(url)]:
            found.append(TurnServers(kept, words[-2], words[-1]))
    return found
