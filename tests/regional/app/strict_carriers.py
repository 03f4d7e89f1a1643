"""Stand-ins for the REST interfaces of SignalWire, Plivo and Vonage, which take what the documents say and no more.

A call's document is fetched with the carrier's signature, as it would be, and kept.
"""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import httpx
import jwt

from repartee_edge.telephone.signatures import plivo_signature, twilio_signature

NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")


class Refused(Exception):
    """An HTTP status, and what is said with it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


def require(so: object, status: int, why: str) -> None:
    if not so:
        raise Refused(status, why)


class Account:
    """One account. ``asked``: method and address of all requests; ``calls``: the status of each; ``documents``: what
    each call was told to do, one after the other."""

    user: str
    password: str

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.calls: dict[str, dict[str, Any]] = {}
        self.documents: dict[str, list[str]] = {}
        self.placed: list[dict[str, Any]] = []

    def known(self, call_id: str) -> None:
        """A call that somebody has made to this account."""
        self.calls[call_id] = {"status": "in-progress"}

    def check_key(self, authorization: str) -> None:
        basic = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        require(authorization == f"Basic {basic}", 401, "Unauthorized")

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Any]:
        self.check_key(headers.get("authorization", ""))
        self.asked.append(f"{method} {path}")
        return await self.do(method, path, headers, body)

    async def do(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        raise NotImplementedError

    def sign(self, url: str, fields: Mapping[str, str]) -> dict[str, str]:
        raise NotImplementedError

    async def tell(self, url: str, fields: Mapping[str, str]) -> httpx.Response:
        """A webhook."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.post(url, data=dict(fields), headers=self.sign(url, fields))

    async def lead(self, call_id: str, url: str, fields: Mapping[str, str]) -> None:
        told = await self.tell(url, fields)
        require(told.status_code == 200, 400, f"{url} answers {told.status_code}")
        self.documents.setdefault(call_id, []).append(told.text.partition("?>")[2])


class SignalWire(Account):
    """https://signalwire.com/docs/compatibility-api/rest/calls/create-a-call and …/update-a-call"""

    user, password, key = "project-1", "PT-token", "PSK-key"
    CREATE = re.compile(
        "Url|ApplicationSid|From|To|CallerId|Method|Timeout|SendDigits|Record|Fallback(Url|Method)|"
        "StatusCallback(Event|Method)?|MachineDetection(Timeout)?|AsyncAmd(StatusCallback(Method)?)?"
    )
    UPDATE = re.compile("Url|Method|Status|Fallback(Url|Method)|StatusCallback(Method)?")

    def sign(self, url: str, fields: Mapping[str, str]) -> dict[str, str]:
        return {"x-signalwire-signature": twilio_signature(self.key, url, fields.items())}

    async def do(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        found = re.fullmatch(r"/api/laml/2010-04-01/Accounts/project-1/Calls(?:/([^/]+))?\.json", path)
        require(found, 404, f"nothing at {path}")
        assert found
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        call_id = found[1]
        if call_id is None:
            require(method == "POST" and all(map(self.CREATE.fullmatch, form)), 422, f"{form}")
            require(NUMBER.fullmatch(form["To"]) and NUMBER.fullmatch(form["From"]), 422, "a number is none")
            require(
                form.get("MachineDetection", "none") in ("Enable", "DetectMessageEnd", "none"),
                422,
                "detection",
            )
            require(form.get("Url", "").startswith("http"), 422, "Url is required")
            call_id = f"sw-{len(self.placed)}"
            self.placed.append(form)
            self.calls[call_id] = {"sid": call_id, "status": "queued"}
            return 201, self.calls[call_id]
        require(call_id in self.calls, 404, "no such call")
        call = self.calls[call_id]
        if method == "GET":
            return 200, call
        require(all(map(self.UPDATE.fullmatch, form)) and len(form) == 1, 422, f"{form}")
        if "Status" in form:
            require(form["Status"] in ("canceled", "completed"), 422, form["Status"])
            require(call["status"] != "completed", 404, "it is over")
            call["status"] = form["Status"]
        else:
            await self.lead(call_id, form["Url"], self.fields(call_id))
        return 200, call

    def fields(self, call_id: str) -> dict[str, str]:
        return {"CallSid": call_id, "CallStatus": "in-progress", "From": "+15550199", "To": "+15550142"}

    async def pick_up(self, call_id: str) -> None:
        """Somebody takes a call that was placed."""
        await self.lead(call_id, self.placed[int(call_id[3:])]["Url"], self.fields(call_id))
        self.calls[call_id]["status"] = "in-progress"


class Plivo(Account):
    """https://www.plivo.com/docs/voice/api/call and plivo-python's ``resources/calls.py``"""

    user, password = "MAXXXX", "plivo-token"
    nameless = False
    """It answers with no id."""
    CREATE = re.compile(
        "from|to|caller_name|send_digits|send_on_preanswer|time_limit|hangup_on_ring|sip_headers|ring_timeout|"
        "(answer|ring|hangup|fallback|machine_detection)_(url|method)|machine_detection(_time)?|parent_call_uuid"
    )

    def sign(self, url: str, fields: Mapping[str, str]) -> dict[str, str]:
        signature = plivo_signature(self.password, url, fields.items(), "7")
        return {"x-plivo-signature-v3": signature, "x-plivo-signature-v3-nonce": "7"}

    async def do(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        found = re.fullmatch(r"/v1/Account/MAXXXX/Call/(?:([^/]+)/)?", path)
        require(found, 404, f"nothing at {path}")
        assert found
        call_id = found[1]
        if method == "DELETE":
            require(call_id in self.calls, 404, "call not found")
            del self.calls[call_id]
            return 204, None
        require(headers.get("content-type") == "application/json", 400, "no JSON")
        wish = json.loads(body)
        if call_id is None:
            require(all(map(self.CREATE.fullmatch, wish)), 400, f"{wish}")
            require(wish["from"] != wish["to"] and wish["answer_url"].startswith("http"), 400, "answer_url")
            require(wish.get("machine_detection", "true") in ("true", "hangup"), 400, "machine_detection")
            require(wish["ring_timeout"] >= 0, 400, "ring_timeout")
            self.placed.append(wish)
            if self.nameless:
                return 201, {"api_id": "a", "message": "call fired"}
            return 201, {
                "api_id": "a",
                "message": "call fired",
                "request_uuid": f"request-{len(self.placed) - 1}",
            }
        require(call_id in self.calls, 404, "call not found")
        require(set(wish) == {"legs", "aleg_url", "aleg_method"}, 400, f"{wish}")
        require(wish["legs"] in ("aleg", "bleg", "both") and wish["aleg_method"] == "POST", 400, f"{wish}")
        await self.lead(call_id, wish["aleg_url"], {"CallUUID": call_id, "CallStatus": "in-progress"})
        return 202, {"api_id": "a", "message": "call transferred"}


class Vonage(Account):
    """https://developer.vonage.com/en/voice/voice-api/code-snippets/controlling-conversations/transfer-a-call"""

    def __init__(self, application: str, public_key: Any) -> None:
        super().__init__()
        self.application, self.public_key = application, public_key
        self.used: set[str] = set()

    def check_key(self, authorization: str) -> None:
        try:
            claims = jwt.decode(authorization.removeprefix("Bearer "), self.public_key, algorithms=["RS256"])
        except jwt.PyJWTError as error:
            raise Refused(401, str(error)) from None
        require(
            claims["application_id"] == self.application and claims["jti"] not in self.used, 401, "reused"
        )
        require(0 < claims["exp"] - claims["iat"] <= 86_400, 401, "exp")
        self.used.add(claims["jti"])

    async def do(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        found = re.fullmatch(r"/v1/calls/([\w-]+)", path)
        require(found and method == "PUT" and headers["content-type"] == "application/json", 400, path)
        assert found
        call_id, wish = found[1], json.loads(body)
        require(self.calls.get(call_id, {}).get("status") == "in-progress", 404, "Not Found")
        if wish == {"action": "hangup"}:
            self.calls[call_id]["status"] = "completed"
        else:
            require(set(wish) == {"action", "destination"} and wish["action"] == "transfer", 400, f"{wish}")
            destination = wish["destination"]
            require(set(destination) == {"type", "ncco"} and destination["type"] == "ncco", 400, f"{wish}")
            self.documents.setdefault(call_id, []).append(json.dumps(destination["ncco"]))
        return 204, None


@asynccontextmanager
async def rest(account: Account) -> AsyncIterator[str]:
    """The account's interface on a socket; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = first.split(" ")
        try:
            status, said = await account.answer(method, path, headers, body)
        except Refused as refusal:
            status, said = refusal.status, {"error": refusal.why}
        text = "" if said is None else json.dumps(said)
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n{text}".encode()
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
