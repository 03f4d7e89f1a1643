"""Scripts for the light mode: what callers are taken to say, in order, and what is answered."""

import json
from dataclasses import dataclass
from pathlib import Path

DEFAULT_SCRIPT = Path(__file__).parent / "scripts" / "front-desk.json"


class ScriptError(ValueError):
    """A script is wrong; the message names every fault."""


@dataclass(frozen=True, slots=True)
class Line:
    """An utterance and its reply. ``parts`` join to ``say``: what is heard before each pause within it."""

    say: str
    reply: str
    parts: tuple[str, ...] = ()

    def heard_until(self, pauses: int) -> str:
        """What has been said once the caller has gone on after so many pauses."""
        if not self.parts:
            return self.say
        return " ".join(self.parts[: pauses + 1])


def load_script(path: Path = DEFAULT_SCRIPT) -> tuple[Line, ...]:
    """The lines of a script file. Raises ScriptError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"The script {path} cannot be read: {error}.") from error
    except json.JSONDecodeError as error:
        raise ScriptError(
            f"The script {path} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    return parse_script(document, str(path))


def parse_script(document: object, name: str) -> tuple[Line, ...]:
    """The lines of ``{"utterances": [{"say", "reply", "parts"?}]}``. Raises ScriptError naming all faults."""
    entries = document.get("utterances") if isinstance(document, dict) else document
    if not isinstance(entries, list) or not entries:
        raise ScriptError(
            f"The script {name} must hold a list “utterances” with at least one {{say, reply}}."
        )
    faults: list[str] = []
    lines: list[Line] = []
    for number, entry in enumerate(entries):
        at = f"utterances[{number}]"
        if not isinstance(entry, dict):
            faults.append(f"{at}: must be an object with say and reply")
            continue
        faults += [f"{at}.{key}: no such key" for key in sorted(entry.keys() - {"say", "reply", "parts"})]
        missing = [
            key for key in ("say", "reply") if not isinstance(entry.get(key), str) or not entry[key].strip()
        ]
        faults += [f"{at}.{key}: must be text" for key in missing]
        parts = entry.get("parts", [])
        if not isinstance(parts, list) or not all(isinstance(part, str) and part.strip() for part in parts):
            faults.append(f"{at}.parts: must be a list of texts")
        elif parts and not missing and " ".join(parts) != entry["say"]:
            faults.append(f"{at}.parts: must make up say when joined by spaces")
        elif not missing:
            lines.append(Line(entry["say"], entry["reply"], tuple(parts)))
    if faults:
        raise ScriptError(f"The script {name} is wrong:\n" + "\n".join(f"  {fault}" for fault in faults))
    return tuple(lines)
