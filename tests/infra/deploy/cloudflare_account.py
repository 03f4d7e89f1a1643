"""What an account at the stand-in of Cloudflare's API holds, and how it refuses."""

import uuid
from dataclasses import dataclass, field
from typing import Any


class RefusedError(Exception):
    """The API's answer to a request that it does not grant."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass
class Script:
    """A Worker as its last upload made it."""

    modules: dict[str, bytes]
    bindings: dict[str, dict[str, Any]]
    versions: list[str] = field(default_factory=list)
    deployed: list[str] = field(default_factory=list)
    crons: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    workers_dev: bool = False

    @property
    def secrets(self) -> dict[str, str]:
        found = {n: b["text"] for n, b in self.bindings.items() if b["type"] == "secret_text"}
        return {name: str(text) for name, text in found.items()}


@dataclass
class Account:
    """What the account holds, and every request that was made of it (method and path)."""

    url: str = ""
    zones: dict[str, str] = field(default_factory=lambda: {"example.com": "f" * 32})
    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    foreign_domains: dict[str, str] = field(default_factory=dict)
    namespaces: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, Script] = field(default_factory=dict)
    subdomain: str = ""
    requests: list[str] = field(default_factory=list)

    def add_namespace(self, title: str) -> str:
        if title in self.namespaces.values():
            raise RefusedError(400, 10014, "a namespace with this account ID and title already exists")
        made = uuid.uuid4().hex
        self.namespaces[made] = title
        return made

    def script(self, name: str) -> Script:
        if name not in self.scripts:
            raise RefusedError(404, 10007, "This Worker does not exist on your account.")
        return self.scripts[name]
