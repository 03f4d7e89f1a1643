"""The network between a deployer's machine and what was deployed: a proxy that knows the deployed hosts.

A host exists once it was deployed, and not before: a region once Terraform's stand-in has applied it, with the
secrets that it was given; the edge once the Worker was uploaded with that host, with the Worker's own secrets. Behind
them are a real region and the self-hosted edge, reached over TLS.
"""

import asyncio
import datetime
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.regional.app.running import region_process

from .cloudflare_account import Account

StartEdge = Callable[[dict[str, str]], Awaitable[str]]


@dataclass
class Internet:
    """Where the proxy is, and which hosts were asked for before they existed."""

    account: Account
    state_file: Path
    providers: dict[str, str]
    start_edge: StartEdge
    stack: ExitStack
    certificate: Path
    port: int = 0
    too_early: list[str] = field(default_factory=list)
    served: dict[str, int] = field(default_factory=dict)
    plain: dict[str, str] = field(default_factory=dict)
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def env(self) -> dict[str, str]:
        """What points a program to this network."""
        proxy = f"http://127.0.0.1:{self.port}"
        trusted = str(self.certificate)
        return {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "SSL_CERT_FILE": trusted,
            "CURL_CA_BUNDLE": trusted,
        }

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.state_file.read_text()) if self.state_file.exists() else {}
        return state

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One CONNECT of the proxy."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split(" ", 2)
            host = target.rpartition(":")[0]
            port = await self.port_of(host) if method == "CONNECT" and target.endswith(":443") else None
            if port is None:
                self.too_early.append(host)
                writer.write(b"HTTP/1.1 502 No such host\r\nContent-Length: 0\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await pipe(reader, writer, port)
        writer.close()

    async def port_of(self, host: str) -> int | None:
        """The TLS port that serves a host, which starts if it was deployed since; none if it was not."""
        async with self.starting:
            if host not in self.served:
                authority = await self.start_region(host) or await self.start_worker(host)
                if authority is None:
                    return None
                self.served[host] = await self.terminate_tls(authority)
            return self.served[host]

    async def start_region(self, host: str) -> str | None:
        state = self.state
        name = next((name for name, known in state.get("hosts", {}).items() if known == host), None)
        if name is None or "secrets" not in state:
            return None
        secrets = {"REPARTEE_TICKET_KEY": state["secrets"]["REPARTEE_TICKET_KEY"], "REPARTEE_REGION": name}
        starting = region_process(self.providers | secrets)
        running = await asyncio.to_thread(self.stack.enter_context, starting)
        self.plain[name] = running.http
        return f"127.0.0.1:{running.port}"

    async def start_worker(self, host: str) -> str | None:
        worker = next((w for w in self.account.scripts.values() if host in w.domains and w.deployed), None)
        if worker is None:
            return None
        table = json.loads((self.state_file.parent / "repartee" / "infra" / "regions.json").read_text())
        for entry in table["regions"]:
            entry["host"] = self.plain.get(entry["name"], entry["host"])
        return await self.start_edge({**worker.secrets, "REPARTEE_REGIONS": json.dumps(table)})

    async def terminate_tls(self, authority: str) -> int:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate)
        port = int(authority.rpartition(":")[2])

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                await pipe(reader, writer, port)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        self.stack.callback(server.close)
        return int(server.sockets[0].getsockname()[1])


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Pass everything on to a port here and back, until both sides have ended."""
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        with suppress(ConnectionError, ssl.SSLError):
            sink.close()

    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


def make_certificate(path: Path, *hosts: str) -> Path:
    """A key and a certificate for these hosts, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@asynccontextmanager
async def internet(
    account: Account, folder: Path, providers: dict[str, str], start_edge: StartEdge, zone: str
) -> AsyncIterator[Internet]:
    """The network, until the end of the block. ``folder`` holds the clone ``repartee`` and ``far-end.json``."""
    certificate = make_certificate(folder / "certificate.pem", f"voice.{zone}", f"*.voice.{zone}")
    with ExitStack() as stack:
        net = Internet(account, folder / "far-end.json", providers, start_edge, stack, certificate)
        proxy = await asyncio.start_server(net.connect, "127.0.0.1", 0)
        stack.callback(proxy.close)
        net.port = int(proxy.sockets[0].getsockname()[1])
        yield net
