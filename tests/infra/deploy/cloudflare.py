"""A stand-in for Cloudflare's API, over HTTP: as much of it as wrangler and the deployment ask, and as strict.

It refuses what the real one refuses, with its status and code: no token or a wrong one, another account, a Worker
that does not exist, a KV namespace that does not exist, an inherited binding without a version to inherit from, a
module that imports what was not uploaded, a host outside the account's zones, a path that it does not know. Each
account begins empty: no Worker, no namespace, no workers.dev subdomain.
"""

import ast
import email.parser
import email.policy
import json
import re
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .cloudflare_account import Account, RefusedError, Script

ACCOUNT = "0123456789abcdef0123456789abcdef"
TOKEN = "token-of-the-tests"
RUNTIME_MODULES = {"js", "pyodide", "pyodide_js", "_pyodide_entrypoint_helper", "_cloudflare_compat_flags"}
MAX_BODY_BYTES = 10 * 2**20


@dataclass(frozen=True)
class Asked:
    """One request: the match of its path, its query and its body."""

    path: re.Match[str]
    query: dict[str, str]
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"null")


Answer = Callable[[Account, Asked], Any]
ROUTES: list[tuple[str, re.Pattern[str], Answer]] = []


def route(method: str, path: str) -> Callable[[Answer], Answer]:
    def register(answer: Answer) -> Answer:
        ROUTES.append((method, re.compile(path.replace("{account}", f"/accounts/{ACCOUNT}")), answer))
        return answer

    return register


@route("GET", "/user/tokens/verify")
def verify(_account: Account, _asked: Asked) -> Any:
    return {"id": "token", "status": "active"}


@route("GET", "/accounts")
@route("GET", "/memberships")
def accounts(_account: Account, asked: Asked) -> Any:
    one = {"id": ACCOUNT, "name": "Tests"}
    return [one if asked.path[0] == "/accounts" else {"id": "m", "account": one}]


@route("GET", "/zones")
def zones(account: Account, asked: Asked) -> Any:
    wanted = asked.query.get("name")
    owner = {"id": ACCOUNT, "name": "Tests"}
    named = [{"id": i, "name": n, "status": "active", "account": owner} for n, i in account.zones.items()]
    return [zone for zone in named if wanted in (None, zone["name"])]


@route("GET", "/zones/(?P<zone>[0-9a-f]{32})/dns_records")
def records(account: Account, asked: Asked) -> Any:
    if asked.path["zone"] not in account.zones.values():
        raise RefusedError(404, 7003, "Could not route to /zones, perhaps your object identifier is invalid?")
    return account.records.get(asked.query["name"], [])


@route("GET", "{account}/storage/kv/namespaces")
def list_namespaces(account: Account, _asked: Asked) -> Any:
    return [{"id": i, "title": title} for i, title in account.namespaces.items()]


@route("POST", "{account}/storage/kv/namespaces")
def create_namespace(account: Account, asked: Asked) -> Any:
    title = asked.json["title"]
    return {"id": account.add_namespace(title), "title": title}


@route("GET", "{account}/workers/subdomain")
def subdomain(account: Account, _asked: Asked) -> Any:
    if not account.subdomain:
        raise RefusedError(404, 10007, "There doesn't seem to be a workers.dev subdomain on your account.")
    return {"subdomain": account.subdomain}


@route("GET", "{account}/workers/domains")
def domains(account: Account, asked: Asked) -> Any:
    wanted = asked.query.get("hostname")
    owned = {host: name for name, script in account.scripts.items() for host in script.domains}
    found = owned | account.foreign_domains
    return [{"id": h, "hostname": h, "service": s} for h, s in found.items() if wanted in (None, h)]


@route("GET", "{account}/workers/scripts")
def scripts(account: Account, _asked: Asked) -> Any:
    return [{"id": name} for name in account.scripts]


@route("GET", "{account}/workers/services/(?P<name>[^/]+)")
def service(account: Account, asked: Asked) -> Any:
    if asked.path["name"] not in account.scripts:
        raise RefusedError(404, 10090, "This service does not exist on your account.")
    script: dict[str, Any] = {
        "id": asked.path["name"],
        "tag": "tag",
        "tags": [],
        "last_deployed_from": "wrangler",
    }
    return {"default_environment": {"environment": "production", "script": script}}


@route("GET", "{account}/workers/scripts/(?P<name>[^/]+)/secrets")
def secrets(account: Account, asked: Asked) -> Any:
    return [{"name": n, "type": "secret_text"} for n in account.script(asked.path["name"]).secrets]


@route("PUT", "{account}/workers/scripts/(?P<name>[^/]+)/secrets")
def put_secret(account: Account, asked: Asked) -> Any:
    script, given = account.script(asked.path["name"]), asked.json
    script.bindings[given["name"]] = {"type": "secret_text", "text": given["text"]}
    return {"name": given["name"], "type": "secret_text"}


@route("GET", "{account}/workers/scripts/(?P<name>[^/]+)/settings")
def settings(account: Account, asked: Asked) -> Any:
    script = account.script(asked.path["name"])
    shown = [{k: v for k, v in b.items() if k != "text"} | {"name": n} for n, b in script.bindings.items()]
    return {"bindings": shown, "tags": []}


@route("PATCH", "{account}/workers/scripts/(?P<name>[^/]+)/script-settings")
def patch_settings(account: Account, asked: Asked) -> Any:
    account.script(asked.path["name"])
    return {}


@route("PUT", "{account}/workers/scripts/(?P<name>[^/]+)")
def upload(account: Account, asked: Asked) -> Any:
    return _upload(account, asked, deployed=True)


@route("POST", "{account}/workers/scripts/(?P<name>[^/]+)/versions")
def upload_version(account: Account, asked: Asked) -> Any:
    account.script(asked.path["name"])
    return _upload(account, asked, deployed=False)


@route("GET", "{account}/workers/scripts/(?P<name>[^/]+)/deployments")
def deployments(account: Account, asked: Asked) -> Any:
    made = account.script(asked.path["name"]).deployed
    shown = [
        {
            "id": version,
            "created_on": "2026-11-26T00:00:00Z",
            "source": "wrangler",
            "strategy": "percentage",
            "author_email": "tests@example.com",
            "versions": [{"version_id": version, "percentage": 100}],
        }
        for version in reversed(made)
    ]
    return {"deployments": shown}


@route("POST", "{account}/workers/scripts/(?P<name>[^/]+)/deployments")
def deploy_version(account: Account, asked: Asked) -> Any:
    script = account.script(asked.path["name"])
    for version in asked.json["versions"]:
        if version["version_id"] not in script.versions:
            raise RefusedError(400, 100404, "This version does not exist.")
        script.deployed.append(version["version_id"])
    return {"id": uuid.uuid4().hex}


@route("GET", "{account}/workers/workers/(?P<name>[^/]+)")
def workers_dev(account: Account, asked: Asked) -> Any:
    enabled = account.script(asked.path["name"]).workers_dev
    return {"name": asked.path["name"], "subdomain": {"enabled": enabled, "previews_enabled": enabled}}


@route("POST", "{account}/workers/scripts/(?P<name>[^/]+)/subdomain")
def set_workers_dev(account: Account, asked: Asked) -> Any:
    script, wanted = account.script(asked.path["name"]), asked.json
    if wanted["enabled"] and not account.subdomain:
        raise RefusedError(400, 10063, "You need a workers.dev subdomain in order to proceed.")
    script.workers_dev = wanted["enabled"]
    return wanted


@route("PUT", "{account}/workers/scripts/(?P<name>[^/]+)/schedules")
def schedules(account: Account, asked: Asked) -> Any:
    account.script(asked.path["name"]).crons = [each["cron"] for each in asked.json]
    return {"schedules": asked.json}


@route("POST", "{account}/workers/scripts/(?P<name>[^/]+)/domains/changeset")
def changeset(account: Account, asked: Asked) -> Any:
    account.script(asked.path["name"])
    return {"added": asked.json, "removed": [], "updated": [], "conflicting": []}


@route("PUT", "{account}/workers/scripts/(?P<name>[^/]+)/domains/records")
def set_domains(account: Account, asked: Asked) -> Any:
    script = account.script(asked.path["name"])
    hosts = [origin["hostname"] for origin in asked.json["origins"]]
    for host in hosts:
        if not any(host == zone or host.endswith(f".{zone}") for zone in account.zones):
            raise RefusedError(404, 100116, f"Could not find zone for `{host}`.")
    script.domains = hosts
    return {}


def _upload(account: Account, asked: Asked, *, deployed: bool) -> Any:
    name, parts = asked.path["name"], _parts(asked)
    metadata = json.loads(parts.pop("metadata", b"{}"))
    if metadata.get("main_module") not in parts:
        raise RefusedError(400, 10021, "No such module: the main module is missing.")
    if "python_workers" in metadata.get("compatibility_flags", []):
        _imports_resolve(parts)
    before = account.scripts.get(name)
    bindings = _bindings(account, metadata.get("bindings", []), before)
    script = before or Script({}, {})
    kept = {n: b for n, b in script.bindings.items() if b["type"] in metadata.get("keep_bindings", [])}
    script.modules, script.bindings = parts, kept | bindings
    account.scripts[name] = script
    version = str(uuid.uuid4())
    script.versions.append(version)
    if deployed:
        script.deployed.append(version)
    resources = {"script": {"etag": "etag"}}
    return {"id": version, "deployment_id": version.replace("-", ""), "resources": resources, "tags": []}


def _parts(asked: Asked) -> dict[str, bytes]:
    head = f"Content-Type: {asked.content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + asked.body)
    if not message.is_multipart():
        raise RefusedError(400, 10034, "The request is no multipart form.")
    found = {}
    for part in message.iter_parts():
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found[str(part.get_param("name", header="content-disposition"))] = payload
    return found


def _imports_resolve(modules: dict[str, bytes]) -> None:
    """The real one runs the Worker's imports before it accepts an upload."""
    names = {name.removeprefix("python_modules/") for name in modules}
    known = {name.split("/")[0].removesuffix(".py") for name in names} | RUNTIME_MODULES
    for name, source in modules.items():
        if not name.endswith(".py") or name.startswith("python_modules/") or "selfhosted" in name:
            continue
        for item in ast.walk(ast.parse(source)):
            imported = [alias.name for alias in item.names] if isinstance(item, ast.Import) else []
            if isinstance(item, ast.ImportFrom) and item.module and not item.level:
                imported = [item.module]
            for module in (each.split(".")[0] for each in imported):
                if module not in known and module not in sys.stdlib_module_names:
                    message = f"Uncaught ModuleNotFoundError: No module named '{module}' in {name}"
                    raise RefusedError(400, 10021, message)


def _bindings(
    account: Account, given: list[dict[str, Any]], before: Script | None
) -> dict[str, dict[str, Any]]:
    made = {}
    for binding in given:
        name = binding["name"]
        if binding["type"] == "inherit":
            if before is None or name not in before.bindings:
                raise RefusedError(
                    400,
                    10057,
                    f"inherit binding '{name}' is invalid: no such binding in the previous version",
                )
            made[name] = before.bindings[name]
            continue
        if binding["type"] == "kv_namespace" and binding.get("namespace_id") not in account.namespaces:
            raise RefusedError(400, 10041, f"KV namespace '{binding.get('namespace_id')}' not found.")
        made[name] = {key: value for key, value in binding.items() if key != "name"}
    return made


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    account: Account

    def handle_request(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        chunked = "chunked" in (self.headers.get("transfer-encoding") or "")
        body = self._chunks() if chunked else self.rfile.read(min(size, MAX_BODY_BYTES))
        url = urlsplit(self.path)
        self.account.requests.append(f"{self.command} {url.path}")
        try:
            result = self._result(url.path, url.query, body)
            self._reply(200, {"success": True, "errors": [], "messages": [], "result": result})
        except RefusedError as refused:
            errors = [{"code": refused.code, "message": refused.message}]
            answer = {"success": False, "errors": errors, "messages": [], "result": None}
            self._reply(refused.status, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def _result(self, path: str, query: str, body: bytes) -> Any:
        if not self.headers.get("authorization"):
            raise RefusedError(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
        if self.headers["authorization"] != f"Bearer {TOKEN}":
            raise RefusedError(401, 1000, "Invalid API Token")
        for method, pattern, answer in ROUTES:
            match = pattern.fullmatch(path)
            if method == self.command and match:
                asked = {name: values[0] for name, values in parse_qs(query).items()}
                kind = self.headers.get("content-type") or ""
                return answer(self.account, Asked(match, asked, kind, body))
        if path.startswith("/accounts/") and not path.startswith(f"/accounts/{ACCOUNT}"):
            raise RefusedError(403, 10000, "Authentication error")
        raise RefusedError(
            404, 7003, f"Could not route to {path}, perhaps your object identifier is invalid?"
        )

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _reply(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the tests look at ``Account.requests``."""


@contextmanager
def cloudflare() -> Iterator[Account]:
    """An empty account, served until the end of the block."""
    account = Account()
    handler = type("Handler", (_Handler,), {"account": account})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    account.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield account
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
