"""What a row of the table of vendors (vendors.py) says: a vendor's name and kind, its settings, how it is opened, how
the doctor checks it.

Knows no vendor, and imports none of their SDKs: a row names the function that opens one, which is loaded only then.
"""

import importlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from repartee.pool.figures import PoolFigures
from repartee.pool.settings import PoolSettings
from repartee.providers.pooled import Use
from repartee.wire import outside_json


class VendorKind(Enum):
    """What a vendor does in a call. The value is the stage's name in traces and metrics."""

    STT = "stt"
    LLM = "llm"
    TTS = "tts"
    SPEECH_TO_SPEECH = "model"

    @property
    def variable(self) -> str:
        """The setting that names the vendors of this kind, in order."""
        return _VARIABLES[self]


_VARIABLES = {
    VendorKind.STT: "REPARTEE_STT",
    VendorKind.LLM: "REPARTEE_LLM",
    VendorKind.TTS: "REPARTEE_TTS",
    VendorKind.SPEECH_TO_SPEECH: "REPARTEE_REALTIME",
}


class Provider(Protocol):
    """What a worker does with any vendor once it is opened. :class:`~repartee.providers.pooled.Pooled` does it all;
    beside that, each kind has its own protocol in interfaces.py."""

    @property
    def warm(self) -> bool:
        """Its pools were full once, and a new call need not fail now."""

    @property
    def usable(self) -> bool:
        """A new call has a chance: something is ready, or dials do not fail."""

    def pools(self) -> tuple[PoolFigures, ...]:
        """Its pools' figures at this moment."""

    def expect(self, calls: int) -> None:
        """So many calls are in progress."""

    def use(self, uses: Iterable[Use]) -> None:
        """The deployment's agents use these languages and voices."""

    async def start(self) -> None:
        """Begin warming; returns at once."""

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""


def anything(value: str) -> str:
    """Accepts every value."""
    return value


def not_empty(value: str) -> str:
    """Raises ValueError for nothing."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def number(least: float, most: float) -> Callable[[str], str]:
    """A check for a number within these bounds, or nothing."""

    def check(value: str) -> str:
        try:
            good = not value or least <= float(value) <= most
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"must be a number from {least:g} to {most:g}")
        return value

    return check


def one_of(*words: str) -> Callable[[str], str]:
    """A check for one of these words, or nothing."""

    def check(value: str) -> str:
        if value and value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return value

    return check


def json_object(value: str) -> str:
    """A JSON object, or nothing. Raises ValueError."""
    if value:
        try:
            good = isinstance(outside_json.decode(value), dict)
        except msgspec.DecodeError:
            good = False
        if not good:
            raise ValueError('must be a JSON object, as in {"seed": 1}')
    return value


def web_address(url: str) -> str:
    """The address without a slash at its end. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with http:// or https:// (the WebSocket address follows from it)")
    if not parts.hostname or any(character.isspace() for character in url):
        raise ValueError("must name a host, as in https://api.example.com")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be a bare address: no user, password, ? or #")
    return url.rstrip("/")


@dataclass(frozen=True, slots=True)
class VendorSetting:
    """An environment variable of a vendor's. ``check`` gives the value to use and raises ValueError for a wrong one;
    what is ``secret`` is shown nowhere."""

    variable: str
    description: str
    default: str = ""
    check: Callable[[str], str] = anything
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """With whom one needs an account: several vendors of the table may be one company's.

    ``name`` is that of errors, metrics and regions files; its variables follow from it. ``stand_in`` is the path of
    its API under the stand-ins' address, None if there is no stand-in.
    """

    name: str
    label: str
    base_url: str
    stand_in: str | None = None
    key_note: str = ""
    url_note: str = ""
    prefix: str = ""
    """What its variables begin with, if that is not its name."""

    @property
    def key_variable(self) -> str:
        return f"{self.prefix}_KEY" if self.prefix else f"{self.name.upper()}_API_KEY"

    @property
    def url_variable(self) -> str:
        return f"{self.prefix}_URL" if self.prefix else f"{self.name.upper()}_BASE_URL"

    @property
    def settings(self) -> tuple[VendorSetting, VendorSetting]:
        key = VendorSetting(self.key_variable, self.key_note or f"Key for {self.label}.", secret=True)
        where = self.url_note or f"Where {self.label} is."
        return key, VendorSetting(self.url_variable, where, self.base_url, web_address)


@dataclass(frozen=True, slots=True)
class Opening:
    """What it takes to open a vendor. ``values`` are its settings', by variable; ``uses`` what the deployment's
    agents use, the first agent's first; ``sized`` fits a pool to the worker."""

    account: Account
    values: Mapping[str, str]
    uses: tuple[Use, ...] = (Use(),)
    model: str = ""
    voice: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    """The row's options that are set, by name; each was checked."""

    keyterms: tuple[str, ...] = ()
    """Words of the agent's that are hard to hear."""

    sized: Callable[[PoolSettings], PoolSettings] = field(default=lambda pool: pool)
    pool_name: str = ""
    """What its pools are called in metrics; empty: as its account is."""

    stall_s: float | None = None
    """With another vendor to turn to: a voice that owes sound, or a model that has begun, may be silent for so long.
    None: as long as the vendor's own settings say."""

    @property
    def name(self) -> str:
        """What its pools are called."""
        return self.pool_name or self.account.name

    @property
    def key(self) -> str:
        return self.values[self.account.key_variable]

    @property
    def base_url(self) -> str:
        return self.values[self.account.url_variable]


@dataclass(frozen=True, slots=True)
class KeytermLimit:
    """How many key terms a recogniser takes, and how many tokens in all; a token is about four characters."""

    terms: int
    tokens: int

    def fault(self, keyterms: Sequence[str]) -> str | None:
        """What is wrong with these, as the end of a sentence; None if they are taken."""
        if len(keyterms) > self.terms:
            return f"takes {self.terms} key terms, and the agent has {len(keyterms)}"
        tokens = sum(-(-len(term) // CHARS_A_TOKEN) for term in keyterms)
        if tokens > self.tokens:
            return f"takes key terms of {self.tokens} tokens, and the agent's have about {tokens}"
        return None


CHARS_A_TOKEN = 4

Check = Callable[[Any], Awaitable[None]]
"""Asks an opened vendor for what a call would. Raises ProviderError or PoolTimeout."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A row of the table.

    ``opens`` names the function that opens it, as ``module:function``; it takes an :class:`Opening` and gives a
    :class:`Provider` of its kind, or raises ConfigurationError. ``check`` is how the doctor tries it, beside a
    connection that lasts. ``model`` and ``voice`` are variables of its settings: which model and which voice it is
    asked for where the agent names none.
    """

    name: str
    kind: VendorKind
    account: Account
    opens: str
    check: Check
    settings: tuple[VendorSetting, ...] = ()
    model: str = ""
    voice: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    """What an agent may ask of it beside, by name: the setting that says it for agents that do not."""

    note: str = ""
    """A few words for the documentation."""

    keyterms: KeytermLimit | None = None
    """What a recogniser takes of them; None: nobody says."""

    ends: Callable[[Any], Awaitable[date | None]] | None = None
    """When the opened vendor's model is to be shut down, if that can be found out."""

    languages: frozenset[str] | None = None
    """The languages that it has, without regions; None: all that anybody may want."""

    own_options: frozenset[str] = frozenset()
    """Options that mean something to one vendor only: what an agent says of them is meant for the first."""

    def speaks(self, language: str) -> bool:
        """Whether it has this language, a BCP 47 tag."""
        return self.languages is None or language.partition("-")[0].lower() in self.languages

    @property
    def traced(self) -> str:
        """Its name in traces and in the log of turns."""
        return self.name if self.name == self.account.name else f"{self.account.name}/{self.name}"

    def check_options(self, wanted: Mapping[str, object]) -> dict[str, str]:
        """An agent's options as the settings would have them. Raises ValueError for one that it does not take, and
        for a value that is wrong."""
        settings = {setting.variable: setting for setting in self.settings}
        checked = {}
        for name, value in wanted.items():
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise ValueError(f"{self.account.label} takes no {name} (but {known})")
            try:
                checked[name] = settings[self.options[name]].check(str(value))
            except ValueError as error:
                raise ValueError(f"{name} {error}, not {value}") from None
        return checked

    @property
    def all_settings(self) -> tuple[VendorSetting, ...]:
        """Its own and its account's."""
        return (*self.account.settings, *self.settings)

    def open(self, opening: Opening) -> Any:
        """Open it. Raises ConfigurationError."""
        module, _, function = self.opens.partition(":")
        return getattr(importlib.import_module(module), function)(opening)
