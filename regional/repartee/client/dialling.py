"""Has calls placed by telephone: one, or a list from a CSV file that can be taken up again where it was left.

What has become of each row stands in a file beside the list, line by line. A row whose answer was lost is asked for
again under the same key, which places no second call.
"""

import asyncio
import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from repartee.client.faults import CallFailed, unreachable

PATH: Final = "/v1/telephone/calls"
OPT_OUTS_PATH: Final = "/v1/telephone/opt-outs"
ASK_S: Final = 30.0
LONGEST_WAIT_S: Final = 300
"""Whoever is to be called later than that is left for another run."""

NUMBER_COLUMNS: Final = ("to", "number", "phone")


@dataclass(frozen=True, slots=True)
class DialWishes:
    """How to call. ``url`` is the edge's."""

    url: str
    api_key: str
    agent: str = ""
    from_number: str = ""
    on_machine: str = "hang_up"
    message: str = ""


@dataclass(frozen=True, slots=True)
class DialRow:
    """One of a list: its place in it, the number, and what the agent is to know."""

    place: int
    to: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class DialSummary:
    """What a run over a list has come to."""

    placed: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    left: int = 0
    """Rows that another run may call."""
    before: int = 0
    """Rows that were done before."""


async def place(
    client: httpx.AsyncClient, wishes: DialWishes, row: DialRow, key: str
) -> tuple[int, Mapping[str, Any], int | None]:
    """Ask for one call: HTTP's status, the answer, and when to ask again. Raises CallFailed."""
    body = {
        "to": row.to,
        "agent": wishes.agent,
        "from": wishes.from_number,
        "on_machine": wishes.on_machine,
        "message": wishes.message,
        "metadata": dict(row.metadata),
        "key": key,
    }
    try:
        answer = await client.post(PATH, json=body)
    except httpx.HTTPError as error:
        raise unreachable(wishes.url, error) from None
    wait = answer.headers.get("retry-after", "")
    try:
        said = answer.json()
    except ValueError:
        said = {"error": {"code": "no_answer", "message": answer.text[:200]}}
    return answer.status_code, said, int(wait) if wait.isdigit() else None


def client_for(wishes: DialWishes) -> httpx.AsyncClient:
    """What asks the edge."""
    headers = {"authorization": f"Bearer {wishes.api_key}"}
    return httpx.AsyncClient(base_url=wishes.url, headers=headers, timeout=ASK_S)


async def dial_one(wishes: DialWishes, number: str) -> Mapping[str, Any]:
    """Place one call. Raises CallFailed, with what was answered."""
    async with client_for(wishes) as client:
        status, said, _ = await place(client, wishes, DialRow(0, number), "")
    if status != 201:
        raise CallFailed(f"No call was placed: {_message(said)}")
    return said


async def never_call(wishes: DialWishes, number: str) -> None:
    """Put a number on the list of those who are not to be called. Raises CallFailed."""
    async with client_for(wishes) as client:
        try:
            answer = await client.post(OPT_OUTS_PATH, json={"number": number})
        except httpx.HTTPError as error:
            raise unreachable(wishes.url, error) from None
    if answer.status_code != 201:
        raise CallFailed(f"The list was not changed: {answer.text[:300]}")


async def dial_list(wishes: DialWishes, path: Path, tell: Callable[[DialRow, str], None]) -> DialSummary:
    """Call everybody on a list who has not been. Raises CallFailed."""
    rows, name = read_list(path)
    progress = path.with_name(f"{path.name}.progress")
    done = read_progress(progress)
    summary = DialSummary(before=len(done))
    async with client_for(wishes) as client:
        with progress.open("a", encoding="utf-8") as kept:
            if kept.tell() and not progress.read_bytes().endswith(b"\n"):
                kept.write("\n")  # a line was cut off
            for row in rows:
                if row.place in done:
                    continue
                status, said = await _patiently(client, wishes, row, f"{name}:{row.place}")
                if status is None:
                    summary.left += 1
                    tell(row, f"later: {_message(said)}")
                    continue
                if status == 201:
                    summary.placed += 1
                    line: dict[str, Any] = {"row": row.place, "to": row.to, "call_id": said["call_id"]}
                else:
                    code = str((said.get("error") or {}).get("code"))
                    summary.refused[code] = summary.refused.get(code, 0) + 1
                    line = {"row": row.place, "to": row.to, "refused": code}
                kept.write(json.dumps(line) + "\n")
                kept.flush()
                tell(row, str(line.get("call_id") or _message(said)))
    return summary


async def _patiently(
    client: httpx.AsyncClient, wishes: DialWishes, row: DialRow, key: str
) -> tuple[int | None, Mapping[str, Any]]:
    """Ask until there is a free line; None: not in this run."""
    while True:
        status, said, wait_s = await place(client, wishes, row, key)
        if status == 401:
            raise CallFailed(f"No call was placed: {_message(said)}")
        if status == 201 or (status < 500 and wait_s is None):
            return status, said
        if wait_s is None or wait_s > LONGEST_WAIT_S:
            return None, said
        await asyncio.sleep(wait_s)


def read_list(path: Path) -> tuple[Sequence[DialRow], str]:
    """A CSV file's rows, and a name for this very list. Raises CallFailed."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise CallFailed(f"{path} cannot be read: {error}.") from None
    reader = csv.DictReader(text.splitlines())
    columns = [name for name in reader.fieldnames or () if name]
    number = next((name for name in columns if name.strip().lower() in NUMBER_COLUMNS), None)
    if number is None:
        raise CallFailed(
            f"{path} has no column `to`: its first line names {', '.join(columns) or 'nothing'}."
        )
    rows = [
        DialRow(
            place,
            (row[number] or "").strip(),
            {name: (row[name] or "")[:120] for name in columns if name != number},
        )
        for place, row in enumerate(reader, 1)
    ]
    return rows, hashlib.sha256(text.encode()).hexdigest()[:32]


def read_progress(path: Path) -> set[int]:
    """The rows that are done. A last line that was cut off counts for nothing."""
    done = set()
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                done.add(int(json.loads(line)["row"]))
            except (ValueError, KeyError, TypeError):
                continue
    return done


def _message(said: Mapping[str, Any]) -> str:
    return str((said.get("error") or {}).get("message") or said)
