"""What comes in on an SCTP association's streams: fragments made whole again, in order, within bounds. Pure."""

from repartee.rtc.sctp_chunks import BEGINS, ENDS, UNORDERED, Acknowledgement, Fragment

WINDOW_BYTES = 256 * 1024
"""What may be held that is not whole, or not in order."""

MOST_HELD = 1_024
"""Fragments that may be held."""

MOST_AHEAD = 4_096
"""A fragment that is further ahead than this is not taken."""

MAX_MESSAGE_BYTES = 256 * 1024
"""The session description says so."""

MOST_GAPS = 16

WholeMessage = tuple[int, int, bytes]
"""Stream, protocol and data."""


class InboundStreams:
    """All streams of one association. ``first_tsn`` is the number of the other side's first fragment."""

    def __init__(self, first_tsn: int) -> None:
        self._through = first_tsn - 1 & 0xFFFFFFFF
        self._beyond: set[int] = set()
        self._held: dict[int, Fragment] = {}
        self._held_bytes = 0
        self._expected: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<InboundStreams: {len(self._held)} held>"

    def take(self, fragment: Fragment) -> bool:
        """Hold a fragment; False if it came before, or there is no room."""
        ahead = fragment.tsn - self._through & 0xFFFFFFFF
        if not 0 < ahead <= MOST_AHEAD or fragment.tsn in self._beyond:
            return False
        if len(self._held) >= MOST_HELD or self._held_bytes + len(fragment.data) > WINDOW_BYTES:
            return False
        self._held[fragment.tsn] = fragment
        self._held_bytes += len(fragment.data)
        self._beyond.add(fragment.tsn)
        self._advance()
        return True

    def skip_to(self, tsn: int) -> None:
        """The other side gives up what came before this number and has not come."""
        ahead = tsn - self._through & 0xFFFFFFFF
        if not 0 < ahead <= MOST_AHEAD:
            return
        self._through = tsn
        self._beyond = {one for one in self._beyond if 0 < one - tsn & 0xFFFFFFFF < 0x80000000}
        for old in [one for one in self._held if tsn - one & 0xFFFFFFFF < 0x80000000]:
            fragment = self._held[old]
            self._drop(old)
            self._expected[fragment.stream] = fragment.sequence + 1 & 0xFFFF
        self._advance()

    def complete(self) -> list[WholeMessage]:
        """The messages that are whole, and next on their streams."""
        whole: list[WholeMessage] = []
        while found := self._next_whole():
            first = found[0]
            for fragment in found:
                self._drop(fragment.tsn)
            if not first.flags & UNORDERED:
                self._expected[first.stream] = first.sequence + 1 & 0xFFFF
            data = b"".join(fragment.data for fragment in found)
            if len(data) <= MAX_MESSAGE_BYTES:
                whole.append((first.stream, first.protocol, data))
        return whole

    def acknowledgement(self) -> Acknowledgement:
        """What has come."""
        gaps: list[tuple[int, int]] = []
        for offset in sorted(tsn - self._through & 0xFFFFFFFF for tsn in self._beyond):
            if gaps and gaps[-1][1] == offset - 1:
                gaps[-1] = (gaps[-1][0], offset)
            else:
                gaps.append((offset, offset))
        window = max(WINDOW_BYTES - self._held_bytes, 0)
        return Acknowledgement(self._through, window, tuple(gaps[:MOST_GAPS]))

    def _advance(self) -> None:
        while (following := self._through + 1 & 0xFFFFFFFF) in self._beyond:
            self._beyond.discard(following)
            self._through = following

    def _next_whole(self) -> list[Fragment] | None:
        for fragment in self._held.values():
            if not fragment.flags & BEGINS:
                continue
            ordered = not fragment.flags & UNORDERED
            if ordered and fragment.sequence != self._expected.get(fragment.stream, 0):
                continue
            found = [fragment]
            while not found[-1].flags & ENDS:
                following = self._held.get(found[-1].tsn + 1 & 0xFFFFFFFF)
                if following is None or following.stream != fragment.stream:
                    break
                found.append(following)
            if found[-1].flags & ENDS:
                return found
        return None

    def _drop(self, tsn: int) -> None:
        self._held_bytes -= len(self._held.pop(tsn).data)
