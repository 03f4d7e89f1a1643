"""Webhooks: signed, tried again until they are taken, over restarts too, each at least once."""

import asyncio
import base64
import hashlib
import hmac
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import InvalidWebhookSignatureError, OpenAI
from tests.promptness import DEADLINE_S
from tests.regional.app.running import calling, region, region_process, spoken_turn

from repartee.app.settings import read_settings
from repartee.app.webhooks import WebhookSender, WebhookTarget, delivering, signature
from repartee.errors import ConfigurationError
from repartee.store.call_records import CALL_ENTRIES, CALLS
from repartee.store.interfaces import Store, Writing
from repartee.store.opening import StorePlace, open_store
from repartee.store.schema import Row
from repartee.store.threaded import StoreLimits
from repartee.store.webhook_outbox import LEASE_S, WEBHOOKS

KEY = "a key for webhooks that is long enough"
TABLES = (CALLS, CALL_ENTRIES, WEBHOOKS)


class Receiver:
    """Whom webhooks are for: refuses each for the first time, if ``refuses``; checks signatures by hand; does not
    answer while it ``hangs``."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.hangs = False
        self.seen: Counter[str] = Counter()
        self.taken: dict[str, dict[str, Any]] = {}
        self.forged = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                raw = await reader.readexactly(int(headers["content-length"]))
                status = self._take(head, headers, raw)
                while self.hangs:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _take(self, head: str, headers: dict[str, str], raw: bytes) -> int:
        name = headers["webhook-id"]
        self.seen[name] += 1
        signed = f"{name}.{headers['webhook-timestamp']}.".encode() + raw
        digest = hmac.new(KEY.encode(), signed, hashlib.sha256).digest()
        if headers["webhook-signature"] != f"v1,{base64.b64encode(digest).decode()}".lower():
            self.forged += 1
        if self.refuses and self.seen[name] == 1:
            return 500
        self.taken[name] = json.loads(raw)
        return 204


@asynccontextmanager
async def receiving(*, refuses: bool = False, port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver(refuses=refuses)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        server.close()


async def until_taken(receiver: Receiver, count: int) -> None:
    async with asyncio.timeout(4 * DEADLINE_S):
        while len(receiver.taken) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def fill(store: Store, first: int, count: int) -> None:
    def write(writing: Writing) -> None:
        for number in range(first, first + count):
            row: Row = {
                "id": f"msg_{number}",
                "at": 1.0,
                "due_at": 1.0,
                "attempts": 0,
                "body": f'{{"n": {number}}}',
            }
            writing.insert(WEBHOOKS, row)

    await store.write(write)


async def test_of_10_000_webhooks_to_a_server_that_refuses_each_once_all_arrive_signed(
    tmp_path: Path,
) -> None:
    store = await open_store(StorePlace(file=str(tmp_path / "s"), limits=StoreLimits(timeout_s=60)), TABLES)
    for first in range(0, 10_000, 500):
        await fill(store, first, 500)
    async with receiving(refuses=True) as receiver:
        target = WebhookTarget(receiver.url, KEY.encode(), first_s=0.01, most_s=0.05)
        async with delivering(store, target):
            await until_taken(receiver, 10_000)
    await store.aclose()
    assert receiver.taken.keys() == {f"msg_{number}" for number in range(10_000)}
    assert receiver.forged == 0
    assert min(receiver.seen.values()) >= 2


async def test_a_calls_start_and_end_are_told_with_its_words(
    providers: dict[str, str], tmp_path: Path
) -> None:
    async with receiving() as receiver:
        settings = {
            "REPARTEE_WEBHOOK_URL": receiver.url,
            "REPARTEE_WEBHOOK_KEY": KEY,
            "REPARTEE_RECORDS": "words",
            "REPARTEE_STORE_FILE": str(tmp_path / "store.sqlite3"),
        }
        async with region({**providers, **settings}) as worker:
            async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
                await spoken_turn(websocket)
            await worker.until_idle()
            await until_taken(receiver, 2)
    started, ended = sorted(receiver.taken.values(), key=lambda body: str(body["type"]), reverse=True)
    assert (started["type"], ended["type"]) == ("call.started", "call.ended")
    assert started["data"]["call_id"] == ended["data"]["call_id"]
    assert ended["data"]["ended"] == "ended"
    assert any(said["who"] == "caller" and said["text"] for said in ended["data"]["transcript"])
    assert receiver.forged == 0


async def test_what_nobody_took_is_delivered_after_a_restart(tmp_path: Path) -> None:
    config = StorePlace(file=str(tmp_path / "store.sqlite3"))
    store = await open_store(config, TABLES)
    await fill(store, 0, 3)
    async with receiving() as gone:
        pass
    async with delivering(store, WebhookTarget(gone.url, KEY.encode(), first_s=0.01, most_s=0.05)):
        await asyncio.sleep(0.2)
    await store.aclose()
    store = await open_store(config, TABLES)
    async with receiving() as receiver, delivering(store, WebhookTarget(receiver.url, KEY.encode())):
        await until_taken(receiver, 3)
    await store.aclose()


def test_openais_sdk_takes_the_signature_and_refuses_a_forged_one() -> None:
    key, body, now = b"a key that is long enough for anybody", '{"type":"call.started"}', int(time.time())
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now)}
    headers["webhook-signature"] = signature(key, "msg_1", now, body)
    client = OpenAI(api_key="x", webhook_secret=f"whsec_{base64.b64encode(key).decode()}")
    client.webhooks.verify_signature(body, headers)
    for forged in (
        {"webhook-signature": signature(b"another key", "msg_1", now, body)},
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(now - 301)},
    ):
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.verify_signature(body, headers | forged)
    with pytest.raises(InvalidWebhookSignatureError):
        client.webhooks.verify_signature(body.replace("started", "ended"), headers)


def test_a_byte_that_is_changed_changes_the_signature() -> None:
    good = signature(KEY.encode(), "msg_1", 5, '{"a": 1}')
    assert good != signature(KEY.encode(), "msg_1", 5, '{"a": 2}')
    assert good != signature(KEY.encode(), "msg_2", 5, '{"a": 1}')
    assert good != signature(b"another key", "msg_1", 5, '{"a": 1}')


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"REPARTEE_WEBHOOK_URL": "https://me.example"}, "needs REPARTEE_WEBHOOK_KEY too"),
        ({"REPARTEE_WEBHOOK_URL": "me.example", "REPARTEE_WEBHOOK_KEY": KEY}, "must begin with http"),
        ({"REPARTEE_WEBHOOK_KEY": "hunter2"}, "must be 32 characters or longer"),
        (
            {
                "REPARTEE_WEBHOOK_URL": "https://me.example",
                "REPARTEE_WEBHOOK_KEY": KEY,
                "REPARTEE_RECORDS": "off",
            },
            "needs records of calls",
        ),
    ],
    ids=["no-key", "no-address", "short-key", "no-records"],
)
def test_settings_that_cannot_work_stop_the_start(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match="REPARTEE_WEBHOOK_") as refused:
        read_settings(settings)
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


async def test_a_worker_that_is_killed_before_it_has_noted_a_delivery_has_it_made_again(
    providers: dict[str, str], tmp_path: Path
) -> None:
    file = str(tmp_path / "store.sqlite3")
    async with receiving() as receiver:
        receiver.hangs = True
        settings = {
            "REPARTEE_WEBHOOK_URL": receiver.url,
            "REPARTEE_WEBHOOK_KEY": KEY,
            "REPARTEE_STORE_FILE": file,
        }
        with region_process({**providers, **settings}, "--allow-anonymous") as worker:
            async with calling(f"{worker.url}?audio=binary"):
                await until_taken(receiver, 1)  # and has not been answered
                worker.signal(signal.SIGKILL)
                await worker.exit_status()
        receiver.hangs = False
        [first] = receiver.seen
        store = await open_store(StorePlace(file=file))
        later = WebhookSender(store, WebhookTarget(receiver.url, KEY.encode()), lambda: time.time() + LEASE_S)
        sending = asyncio.create_task(later.run())
        async with asyncio.timeout(DEADLINE_S):
            while receiver.seen[first] < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        sending.cancel()
        await asyncio.wait([sending])
        await store.aclose()
    assert receiver.taken[first]["type"] == "call.started"
    assert receiver.forged == 0


async def test_a_calls_end_is_told_with_a_summary_whose_tokens_are_paid_for(
    providers: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "prices.json").write_text('{"llm": {"*": {"million_input_tokens": 1e6}}}')
    ended: dict[str, dict[str, Any]] = {}
    for summary in ("off", "on"):
        async with receiving() as receiver:
            settings = {
                "REPARTEE_WEBHOOK_URL": receiver.url,
                "REPARTEE_WEBHOOK_KEY": KEY,
                "REPARTEE_RECORDS": "words",
                "REPARTEE_SUMMARY": summary,
                "REPARTEE_PRICES": str(tmp_path / "prices.json"),
                "REPARTEE_SPECULATE": "off",
                "REPARTEE_STORE_FILE": str(tmp_path / f"{summary}.sqlite3"),
            }
            async with region({**providers, **settings}) as worker:
                async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
                    await spoken_turn(websocket)
                await until_taken(receiver, 2)
            [ended[summary]] = [
                body["data"] for body in receiver.taken.values() if body["type"] == "call.ended"
            ]
        place = StorePlace(file=str(tmp_path / f"{summary}.sqlite3"))
        store = await open_store(place)
        [call] = await store.read(lambda reading: reading.rows(CALLS))
        await store.aclose()
        assert json.loads(str(call["details"])).get("summary") == ended[summary].get("summary")
        assert call["cost"] == ended[summary]["cost"]
    assert "summary" not in ended["off"]
    assert ended["on"]["summary"]
    assert ended["on"]["transcript"]
    [model] = [use for use in ended["on"]["usage"] if use["stage"] == "llm"]
    assert ended["on"]["cost"] == pytest.approx(model["input_tokens"])
    assert ended["on"]["cost"] > ended["off"]["cost"]


def test_a_summary_needs_words() -> None:
    with pytest.raises(ConfigurationError, match="REPARTEE_SUMMARY: needs REPARTEE_RECORDS=words"):
        read_settings({"REPARTEE_SUMMARY": "on"})
