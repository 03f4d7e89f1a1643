"""Two hosts on one machine, joined by a bad line: network namespaces, a TUN device in each, ``packet_link`` between.

TCP over it is the kernel's own, with real lost segments. Needs root, Linux and `ip` (iproute2). Nothing is left of it
when its owner has ended, since namespaces have no names here and devices go with their descriptors.

The worker's host is 127.0.0.1 as callers see it, as without namespaces: at the callers' host, which has no loopback,
that address is routed over the line.
"""

import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from repartee.bench.line_quality import LineQuality
from repartee.errors import VoiceError

CLONE_NEWNET = 0x4000_0000
TUNSETIFF = 0x4004_54CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
TUN = Path("/dev/net/tun")
OWN_NAMESPACE = Path("/proc/thread-self/ns/net")
WORKERS, CALLERS = "10.99.0.1", "10.99.0.2"
MTU = 1_500
CHANGE_S = 10.0


class NoNamespaces(VoiceError):
    """This machine, or this user, cannot have them; says why."""


class Namespaces:
    """Both hosts and the line. Made by :func:`namespaces`."""

    def __init__(self, workers: int, callers: int, line: subprocess.Popen[bytes]) -> None:
        self._workers = workers
        self._callers = callers
        self._line = line

    def become(self, quality: LineQuality) -> None:
        """How the line is from now on."""
        assert self._line.stdin is not None and self._line.stdout is not None
        self._line.stdin.write(msgspec.json.encode(quality) + b"\n")
        self._line.stdin.flush()
        if not self._line.stdout.readline():
            raise NoNamespaces("the line between the namespaces has ended")

    @contextmanager
    def at_worker(self) -> Iterator[None]:
        """Sockets that this thread opens in the block, and the processes it starts, are at the worker's host."""
        with _within(self._workers):
            yield

    @contextmanager
    def at_callers(self) -> Iterator[None]:
        """The same, at the callers' host."""
        with _within(self._callers):
            yield


def lacking() -> str | None:
    """Why there can be no namespaces here; None if there can."""
    if not sys.platform.startswith("linux"):
        return "they are Linux's"
    if os.geteuid() != 0:
        return "they need root"
    if not TUN.exists():
        return f"there is no {TUN}"
    return None if shutil.which("ip") else "there is no ip (iproute2)"


@contextmanager
def namespaces(line_cores: frozenset[int] | None = None) -> Iterator[Namespaces]:
    """Make both hosts, joined by a line that loses nothing; its process keeps to these cores. Raises NoNamespaces."""
    if why := lacking():
        raise NoNamespaces(f"No network namespaces: {why}.")
    with ExitStack() as stack:
        try:
            callers, far = stack.enter_context(_host("callers", CALLERS, "127.0.0.1"))
            workers, near = stack.enter_context(_host("worker", WORKERS, CALLERS, loopback=True))
            line = stack.enter_context(_linked(near, far, line_cores))
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoNamespaces(f"No network namespaces: {error}.") from None
        yield Namespaces(workers, callers, line)


@contextmanager
def _host(device: str, own: str, other: str, *, loopback: bool = False) -> Iterator[tuple[int, int]]:
    """A namespace with one way out, to another address: its descriptor, and its TUN device's."""
    before = os.open(OWN_NAMESPACE, os.O_RDONLY)
    opened = [before]
    try:
        _call("unshare", CLONE_NEWNET)
        try:
            opened.append(namespace := os.open(OWN_NAMESPACE, os.O_RDONLY))
            opened.append(tun := os.open(TUN, os.O_RDWR))
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
            # What comes from 127.0.0.1 over the line, or goes there, is not thrown away.
            for each in ("all", device):
                Path(f"/proc/sys/net/ipv4/conf/{each}/route_localnet").write_text("1")
            with suppress(OSError):
                Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").write_text("1")
            _ip("addr", "add", f"{own}/32", "dev", device)
            _ip("link", "set", device, "mtu", str(MTU), "up")
            _ip("route", "add", other, "dev", device, "src", own)
            if loopback:
                _ip("link", "set", "lo", "up")
        finally:
            _call("setns", before, CLONE_NEWNET)
        yield namespace, tun
    finally:
        for descriptor in opened:
            os.close(descriptor)


@contextmanager
def _linked(near: int, far: int, line_cores: frozenset[int] | None) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "repartee.bench.packet_link", str(near), str(far)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[near, far]
    ) as line:
        if line_cores:
            os.sched_setaffinity(line.pid, line_cores)
        try:
            yield line
        finally:
            assert line.stdin is not None
            line.stdin.close()


@contextmanager
def _within(namespace: int) -> Iterator[None]:
    before = os.open(OWN_NAMESPACE, os.O_RDONLY)
    try:
        _call("setns", namespace, CLONE_NEWNET)
        yield
    finally:
        _call("setns", before, CLONE_NEWNET)
        os.close(before)


def _call(name: str, *words: int) -> None:
    """One of libc's functions; Python has these two from 3.12 on. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*words):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
