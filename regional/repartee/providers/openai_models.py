"""How to ask OpenAI's models, by the family that their name reveals. Pure.

Most of them reason by default, which a telephone call has no time for; some take functions only without reasoning,
some no temperature; the newer ones know the limit of an answer by another name. Names may have a vendor before them
(``openai/gpt-6-luna``) or a tag after them (``gpt-oss:20b``). Other companies' models get a plain request.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_VERSION = re.compile(r"gpt-(\d+)(?:\.(\d+))?(?:-|$)")
_REALTIME = re.compile(r"gpt-realtime-(\d+)")
_HOSTS = ("api.openai.com", "openai.azure.com")


@dataclass(frozen=True, slots=True)
class Asking:
    """What a request may and must hold.

    ``effort`` is the least reasoning the model can be asked for (``reasoning_effort``); None: it takes no such wish.
    ``temperature``: it takes one other than 1. ``newer``: the limit is ``max_completion_tokens``, wherever it runs.
    ``instructing`` is the role of what the developer says: models of OpenAI's that reason call it ``developer``.
    """

    effort: str | None = None
    temperature: bool = True
    newer: bool = False
    instructing: str = "system"


PLAINLY = Asking()


def asking(model: str) -> Asking:
    """How to ask a model for text, on chat completions."""
    name = model.lower().rpartition("/")[2].removeprefix("ft:")
    if name.startswith("gpt-oss"):
        return Asking(effort="low")
    if re.match(r"o\d", name):
        return Asking(effort="low", temperature=False, newer=True, instructing="developer")
    version = _VERSION.match(name)
    if version is None or int(version[1]) < 5:
        return PLAINLY
    number = (int(version[1]), int(version[2] or 0))
    if "-chat" in name:
        return Asking(newer=True)
    if number == (5, 0):
        return Asking(effort="minimal", temperature=False, newer=True, instructing="developer")
    return Asking(effort="none", temperature=number < (5, 6), newer=True, instructing="developer")


def reasons_in_speech(model: str) -> bool:
    """Whether a speech-to-speech model reasons before it speaks, and may be asked how much."""
    version = _REALTIME.match(model)
    return version is not None and int(version[1]) >= 2


def limit_field(base_url: str, model: str) -> str:
    """The field for the most tokens of an answer. OpenAI's own hosts, and Azure's, know the newer one."""
    host = urlsplit(base_url).hostname or ""
    newer = asking(model).newer or any(host == known or host.endswith(f".{known}") for known in _HOSTS)
    return "max_completion_tokens" if newer else "max_tokens"
