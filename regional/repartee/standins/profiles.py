"""Latency profiles: how long each stage of each stand-in takes, as seeded distributions read from JSON.

Owns the format, its validation and the latency floor a profile sets. Knows nothing of sockets or clocks.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal, Protocol

PROFILES = Path(__file__).parent / "profiles"
FRAME_MS = 20.0
"""Speech is sent in frames of this length, so what recognition decides falls on a whole number of them."""

STAGES = {
    "stt": ("start_of_turn_ms", "eager_end_of_turn_ms", "end_of_turn_ms", "extra_ms", "nova_extra_ms"),
    "llm": ("ttft_ms", "tokens_per_s"),
    "tts": ("ttfb_ms", "speed"),
}
RATES = {"tokens_per_s", "speed"}
"""Stages for which null means "without limit"; zero would mean "never"."""


class ProfileError(ValueError):
    """A profile is wrong; the message names every fault."""


class Distribution(Protocol):
    """A value drawn anew for each turn or request."""

    def draw(self, random: Random) -> float:
        """One value, in the unit of the stage's name."""

    @property
    def middle(self) -> float:
        """The median, from which floors are computed."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same value."""

    value: float

    def draw(self, random: Random) -> float:
        return self.value

    @property
    def middle(self) -> float:
        return self.value


@dataclass(frozen=True, slots=True)
class Normal:
    """A normal distribution, clamped to [min, max]."""

    mean: float
    sd: float
    least: float
    most: float

    def draw(self, random: Random) -> float:
        return min(max(random.gauss(self.mean, self.sd), self.least), self.most)

    @property
    def middle(self) -> float:
        return min(max(self.mean, self.least), self.most)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """A lognormal distribution given by its median and the sigma of its logarithm, clamped to [min, max]."""

    median: float
    sigma: float
    least: float
    most: float

    def draw(self, random: Random) -> float:
        return min(max(random.lognormvariate(math.log(self.median), self.sigma), self.least), self.most)

    @property
    def middle(self) -> float:
        return min(max(self.median, self.least), self.most)


@dataclass(frozen=True, slots=True)
class Mixture:
    """One of several distributions, each with a probability in proportion to its weight."""

    parts: tuple[tuple[float, Distribution], ...]

    def draw(self, random: Random) -> float:
        total = sum(weight for weight, _ in self.parts)
        at = random.random() * total
        for weight, part in self.parts:
            at -= weight
            if at < 0:
                return part.draw(random)
        return self.parts[-1][1].draw(random)

    @property
    def middle(self) -> float:
        return max(self.parts, key=lambda part: part[0])[1].middle


@dataclass(frozen=True, slots=True)
class SttTimes:
    """Recognition: silences and delays in ms of audio; ``extra_ms`` and ``nova_extra_ms`` in ms of wall time."""

    start_of_turn_ms: Distribution
    eager_end_of_turn_ms: Distribution
    end_of_turn_ms: Distribution
    extra_ms: Distribution
    nova_extra_ms: Distribution


@dataclass(frozen=True, slots=True)
class LlmTimes:
    """The language model: ms to the first token, then tokens per second (None: all at once)."""

    ttft_ms: Distribution
    tokens_per_s: Distribution | None


@dataclass(frozen=True, slots=True)
class TtsTimes:
    """Synthesis: ms from text to the first audio byte, then audio at ``speed`` × real time (None: all at once)."""

    ttfb_ms: Distribution
    speed: Distribution | None


@dataclass(frozen=True, slots=True)
class Profile:
    """How long everything takes."""

    name: str
    description: str
    seed: int
    sources: tuple[str, ...]
    """Whose measurements it is made of; empty: nobody's."""
    stt: SttTimes
    llm: LlmTimes
    tts: TtsTimes


def profile_names() -> list[str]:
    """The profiles that come with the stand-ins."""
    return sorted(path.stem for path in PROFILES.glob("*.json"))


def load_profile(name_or_path: str) -> Profile:
    """A shipped profile by its name, or one of your own by its path. Raises ProfileError."""
    path = PROFILES / f"{name_or_path}.json"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        raise ProfileError(
            f"There is no latency profile “{name_or_path}”: give one of {', '.join(profile_names())}, "
            "or the path of a JSON file."
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"The profile {path} cannot be read: {error}.") from error
    except json.JSONDecodeError as error:
        raise ProfileError(
            f"The profile {path} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    return parse_profile(document, path.stem)


def parse_profile(document: object, name: str) -> Profile:
    """A profile from its JSON document. Raises ProfileError naming all faults at once."""
    faults: list[str] = []
    if not isinstance(document, dict):
        raise ProfileError(f"The profile {name} must be a JSON object with stt, llm and tts.")
    known = {"description", "seed", "sources", *STAGES}
    faults += [
        f"{key}: no such key (known are {', '.join(sorted(known))})" for key in document.keys() - known
    ]
    seed = document.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        faults.append("seed: must be a whole number")
    description = document.get("description", "")
    if not isinstance(description, str):
        faults.append("description: must be text")
    sources = document.get("sources", [])
    if not isinstance(sources, list) or not all(isinstance(one, str) and one for one in sources):
        faults.append("sources: must be a list of texts")
    stages = {group: _stages(document.get(group), group, faults) for group in STAGES}
    if faults:
        raise ProfileError(
            f"The profile {name} is wrong:\n" + "\n".join(f"  {fault}" for fault in sorted(faults))
        )
    return Profile(
        name=name,
        description=description,
        seed=seed,
        sources=tuple(sources),
        stt=SttTimes(**{key: _present(value) for key, value in stages["stt"].items()}),
        llm=LlmTimes(_present(stages["llm"]["ttft_ms"]), stages["llm"]["tokens_per_s"]),
        tts=TtsTimes(_present(stages["tts"]["ttfb_ms"]), stages["tts"]["speed"]),
    )


def _present(value: Distribution | None) -> Distribution:
    assert value is not None
    return value


def _stages(group: object, name: str, faults: list[str]) -> dict[str, Distribution | None]:
    keys = STAGES[name]
    if not isinstance(group, dict):
        faults.append(f"{name}: must be an object with {', '.join(keys)}")
        return {}
    faults += [f"{name}.{key}: no such key" for key in group.keys() - set(keys)]
    optional = {"extra_ms", "nova_extra_ms"}
    faults += [f"{name}.{key}: is missing" for key in keys if key not in group and key not in optional]
    found: dict[str, Distribution | None] = {}
    for key in keys:
        value = group.get(key, 0 if key in optional else None)
        if value is None and (key in RATES or key not in group):
            found[key] = None
        else:
            found[key] = _distribution(value, f"{name}.{key}", faults, above_zero=key in RATES)
    return found


def _distribution(value: object, at: str, faults: list[str], *, above_zero: bool) -> Distribution:
    if isinstance(value, dict) and len(value) == 1:
        ((kind, spec),) = value.items()
        parser = _PARSERS.get(kind)
        if parser is not None:
            return parser(spec, f"{at}.{kind}", faults, above_zero)
    elif not isinstance(value, dict) and _is_number(value):
        return _constant(value, at, faults, above_zero)
    faults.append(f"{at}: must be a number or one of {{constant}}, {{normal}}, {{lognormal}}, {{mixture}}")
    return Constant(0)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(
    spec: object, at: str, faults: list[str], required: tuple[str, ...], above_zero: bool
) -> dict[str, float]:
    if not isinstance(spec, dict):
        faults.append(f"{at}: must be an object with {', '.join(required)}, and if you like min and max")
        return {}
    allowed = {*required, "min", "max"}
    wrong = [f"{at}.{key}: no such key" for key in spec.keys() - allowed]
    wrong += [f"{at}.{key}: is missing" for key in required if key not in spec]
    wrong += [
        f"{at}.{key}: must be a number, zero or more"
        for key in spec.keys() & allowed
        if not _is_number(spec[key]) or spec[key] < 0
    ]
    if not wrong and above_zero and spec.get("min", 0) <= 0:
        wrong.append(f"{at}.min: must be given and above zero for a rate")
    if not wrong and spec.get("min", 0) > spec.get("max", math.inf):
        wrong.append(f"{at}.min: must not be above max")
    faults += wrong
    return {} if wrong else {"min": 0.0, "max": math.inf, **spec}


def _constant(spec: object, at: str, faults: list[str], above_zero: bool) -> Distribution:
    if not _is_number(spec) or not isinstance(spec, int | float) or spec < 0 or (above_zero and spec == 0):
        faults.append(f"{at}: must be a number {'above zero' if above_zero else 'of zero or more'}")
        return Constant(0)
    return Constant(float(spec))


def _normal(spec: object, at: str, faults: list[str], above_zero: bool) -> Distribution:
    found = _numbers(spec, at, faults, ("mean", "sd"), above_zero)
    return Normal(found["mean"], found["sd"], found["min"], found["max"]) if found else Constant(0)


def _lognormal(spec: object, at: str, faults: list[str], above_zero: bool) -> Distribution:
    found = _numbers(spec, at, faults, ("median", "sigma"), above_zero)
    if found and found["median"] == 0:
        faults.append(f"{at}.median: must be above zero")
        return Constant(0)
    return Lognormal(found["median"], found["sigma"], found["min"], found["max"]) if found else Constant(0)


def _mixture(spec: object, at: str, faults: list[str], above_zero: bool) -> Distribution:
    if not isinstance(spec, list) or not spec:
        faults.append(f"{at}: must be a list of {{weight, of}}")
        return Constant(0)
    parts: list[tuple[float, Distribution]] = []
    for number, entry in enumerate(spec):
        here = f"{at}[{number}]"
        if not isinstance(entry, dict) or set(entry) != {"weight", "of"}:
            faults.append(f"{here}: must have weight and of, and nothing else")
        elif not _is_number(entry["weight"]) or entry["weight"] <= 0:
            faults.append(f"{here}.weight: must be a number above zero")
        else:
            part = _distribution(entry["of"], f"{here}.of", faults, above_zero=above_zero)
            parts.append((float(entry["weight"]), part))
    return Mixture(tuple(parts)) if parts else Constant(0)


_PARSERS: Mapping[str, Callable[[Any, str, list[str], bool], Distribution]] = {
    "constant": _constant,
    "normal": _normal,
    "lognormal": _lognormal,
    "mixture": _mixture,
}


def _whole_frames(ms: float) -> float:
    return math.ceil(ms / FRAME_MS - 1e-9) * FRAME_MS


def ends_of_turn_ms(
    profile: Profile, stt: Literal["flux", "nova"] = "flux", endpointing_ms: float | None = None
) -> tuple[float, float]:
    """(eager end of turn, end of turn), ms from the last sample of speech to the message.

    With nova there is one message for both: its endpointing (default: the profile's eager end of turn) and the
    profile's extra.
    """
    times = profile.stt
    if stt == "nova":
        silence = times.eager_end_of_turn_ms.middle if endpointing_ms is None else endpointing_ms
        end = _whole_frames(silence) + times.nova_extra_ms.middle + times.extra_ms.middle
        return end, end
    extra = times.extra_ms.middle
    eager = _whole_frames(times.eager_end_of_turn_ms.middle) + extra
    return eager, _whole_frames(times.end_of_turn_ms.middle) + extra


def answer_ms(profile: Profile, first_clause_tokens: int) -> float:
    """From the language model's request to the first audio byte, the first clause going to synthesis at once."""
    rate = profile.llm.tokens_per_s
    tokens = (first_clause_tokens - 1) / rate.middle * 1000 if rate is not None else 0.0
    return profile.llm.ttft_ms.middle + tokens + profile.tts.ttfb_ms.middle


def floor_ms(
    profile: Profile,
    first_clause_tokens: int,
    stt: Literal["flux", "nova"] = "flux",
    endpointing_ms: float | None = None,
) -> float:
    """The least voice-to-voice latency the profile allows, ms: the answer is prepared from the eager end of turn and
    released no earlier than the end of turn."""
    eager, end = ends_of_turn_ms(profile, stt, endpointing_ms)
    return max(end, eager + answer_ms(profile, first_clause_tokens))


def sequential_floor_ms(
    profile: Profile,
    first_clause_tokens: int,
    stt: Literal["flux", "nova"] = "flux",
    endpointing_ms: float | None = None,
) -> float:
    """The same without speculation, ms: the answer is begun only once the turn has ended."""
    return ends_of_turn_ms(profile, stt, endpointing_ms)[1] + answer_ms(profile, first_clause_tokens)
