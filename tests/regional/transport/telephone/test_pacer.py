"""When audio goes out and what was heard, on a clock of the test's own."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.regional.transport.telephone.messages import ULAW

from repartee.transport.telephone.carriers import FRAMINGS
from repartee.transport.telephone.pacer import AudioDue, MarkDue, PlayedTo, StreamPacer, silence_for
from repartee.wire.audio_format import WireFormat

FRAME = 160
MS = 8


class Carrier:
    """Plays what it is given in real time, and gives marks back as carriers do."""

    def __init__(self, pacer: StreamPacer) -> None:
        self.pacer = pacer
        self.now = 0.0
        self.sent: list[tuple[float, AudioDue | MarkDue]] = []
        self.leads_ms: list[float] = []
        self._ends_at = 0.0
        self._marks: list[tuple[float, str]] = []
        self.heard: list[PlayedTo] = []

    def turn(self) -> None:
        """The loop comes by."""
        for due in self.pacer.due(self.now):
            self.sent.append((self.now, due))
            if isinstance(due, AudioDue):
                self._ends_at = max(self._ends_at, self.now) + len(due.audio) / MS / 1000
                self.leads_ms.append((self._ends_at - self.now) * 1000)
            else:
                self._marks.append((self._ends_at, due.name))

    def wait(self, ms: float) -> None:
        """Time passes; the pacer is asked when it wants to be."""
        until = self.now + ms / 1000
        for _ in range(1_000):
            wake_at = self.pacer.wake_at()
            marks = [at for at, _ in self._marks]
            following = min([at for at in [wake_at, *marks] if at is not None], default=until + 1)
            if following > until:
                break
            self.now = max(self.now, following)
            due, self._marks = (
                [name for at, name in self._marks if at <= self.now],
                [mark for mark in self._marks if mark[0] > self.now],
            )
            for name in due:
                if played := self.pacer.returned(name):
                    self.heard.append(played)
            self.turn()
        else:
            raise AssertionError("the pacer wants to be asked again and again")
        self.now = until

    def clear(self) -> None:
        """All that is not played is dropped, and all open marks come back."""
        self._ends_at = self.now
        names, self._marks = [name for _, name in self._marks], []
        for name in names:
            assert self.pacer.returned(name) is None, "a mark of what was cut counts for nothing"

    @property
    def audio(self) -> list[AudioDue]:
        return [due for _, due in self.sent if isinstance(due, AudioDue)]

    @property
    def marks(self) -> list[MarkDue]:
        return [due for _, due in self.sent if isinstance(due, MarkDue)]


def speaking(ms: int, *, ended: bool = True) -> Carrier:
    """A carrier that is being sent one item."""
    carrier = Carrier(StreamPacer(ULAW))
    carrier.pacer.put("a", b"\x10" * (ms * MS))
    if ended:
        carrier.pacer.end("a")
    carrier.turn()
    return carrier


def test_audio_goes_out_200_to_300_ms_ahead_by_the_clock() -> None:
    carrier = speaking(2_000)
    assert sum(len(due.audio) for due in carrier.audio) == 300 * MS, "at once"
    carrier.wait(3_000)
    assert sum(len(due.audio) for due in carrier.audio) == 2_000 * MS
    assert max(carrier.leads_ms) == pytest.approx(300)
    times = [at for at, due in carrier.sent if isinstance(due, AudioDue)]
    assert times[3:] == pytest.approx([0.1 * n for n in range(1, len(times) - 2)])
    assert min(carrier.leads_ms[2:]) == pytest.approx(300), "each brings the lead from 200 ms to 300"


@pytest.mark.parametrize("format_", [ULAW, WireFormat("audio/pcm", 8_000), WireFormat("audio/pcm", 16_000)])
@given(pieces=st.lists(st.integers(1, 5_000), min_size=1, max_size=20))
def test_any_pieces_in_whole_frames_out(format_: WireFormat, pieces: list[int]) -> None:
    pacer, given_, now = StreamPacer(format_), b"", 0.0
    for number, size in enumerate(pieces):
        piece = bytes([number % 200 + 1]) * size
        given_ += piece
        pacer.put("a", piece)
    pacer.end("a")
    sent = b""
    while (due := pacer.due(now)) or pacer.wake_at() is not None:
        sent += b"".join(one.audio for one in due if isinstance(one, AudioDue))
        now += 0.02
    frame = int(format_.bytes_per_ms * 20)
    assert len(sent) % frame == 0
    assert sent[: len(given_)] == given_, "nothing is lost, nothing in another order"
    assert len(sent) - len(given_) < frame and set(sent[len(given_) :]) <= set(silence_for(format_, 20))


def test_marks_stand_100_to_200_ms_apart_and_at_the_items_end() -> None:
    carrier = speaking(1_030)
    carrier.wait(2_000)
    position, places = 0.0, []
    for _, due in carrier.sent:
        if isinstance(due, AudioDue):
            position += len(due.audio) / MS
        else:
            places.append(position)
    assert all(100 <= b - a <= 200 for a, b in pairwise([0.0, *places[:-1]]))
    assert isinstance(carrier.sent[-1][1], MarkDue) and places[-1] == 1_040
    assert carrier.heard[-1] == PlayedTo("a", 1_030), (
        "what was heard, without the silence that filled a frame"
    )


def test_marks_stand_so_far_apart_when_speech_comes_in_drops() -> None:
    carrier = Carrier(StreamPacer(ULAW))
    for _ in range(100):
        carrier.pacer.put("a", b"\x10" * 30 * MS)
        carrier.turn()
        carrier.wait(30)
    position, places = 0.0, [0.0]
    for _, due in carrier.sent:
        position += len(due.audio) / MS if isinstance(due, AudioDue) else 0
        if isinstance(due, MarkDue):
            places.append(position)
    assert all(100 <= b - a <= 200 for a, b in pairwise(places))


def test_an_item_that_ends_after_its_last_frame_was_sent_has_its_mark_too() -> None:
    carrier = speaking(140, ended=False)
    carrier.wait(1_000)
    assert carrier.heard[-1].ms < 140
    carrier.pacer.end("a")
    carrier.turn()
    carrier.wait(10)
    assert carrier.heard[-1] == PlayedTo("a", 140)


def test_heard_is_what_the_last_mark_says_for_each_item() -> None:
    carrier = speaking(500)
    carrier.pacer.put("b", b"\x11" * 500 * MS)
    carrier.pacer.end("b")
    carrier.wait(750)
    assert carrier.heard[-1] == PlayedTo("b", 200)
    assert PlayedTo("a", 500) in carrier.heard


def test_marks_that_come_back_after_a_cut_say_nothing() -> None:
    carrier = speaking(3_000)
    carrier.wait(450)
    assert carrier.heard[-1] == PlayedTo("a", 400)
    assert carrier.pacer.cut("a", carrier.now)
    carrier.clear()
    carrier.wait(1_000)
    assert carrier.heard[-1] == PlayedTo("a", 400)


def test_a_cut_after_all_was_sent_still_has_the_carrier_drop_it() -> None:
    carrier = speaking(300)
    assert not carrier.pacer.wake_at()
    assert carrier.pacer.cut("a", carrier.now)
    late = speaking(300)
    late.wait(400)
    assert late.pacer.idle
    assert not late.pacer.cut("a", late.now), "all was heard: there is nothing to drop"


def test_each_piece_carries_its_generation() -> None:
    carrier = speaking(1_000)
    carrier.pacer.cut("a", carrier.now)
    carrier.clear()
    carrier.pacer.put("a", b"\x10" * 800)
    carrier.pacer.put("b", b"\x11" * 800)
    before = len(carrier.sent)
    carrier.turn()
    new = [due for _, due in carrier.sent[before:]]
    assert {due.item_id for due in new} == {"b"}, "what is late of an item that was cut is not said"
    assert {due.generation for due in new} == {1}
    assert {due.generation for _, due in carrier.sent[:before]} == {0}


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "end", "cut", "wait"]), st.integers(0, 3), st.integers(1, 700)),
        max_size=60,
    )
)
def test_nothing_of_an_old_word_is_sent_after_a_stop(steps: list[tuple[str, int, int]]) -> None:
    carrier = Carrier(StreamPacer(ULAW))
    cut: set[str] = set()
    for what, number, ms in steps:
        item = f"item{number}"
        sent = len(carrier.sent)
        if what == "put":
            carrier.pacer.put(item, b"\x10" * ms * MS)
        elif what == "end":
            carrier.pacer.end(item)
        elif what == "cut":
            if carrier.pacer.cut(item, carrier.now):
                carrier.clear()
            cut.add(item)
        else:
            carrier.wait(ms)
        carrier.turn()
        assert not {due.item_id for _, due in carrier.sent[sent:]} & cut
        assert {due.generation for _, due in carrier.sent[sent:]} <= {carrier.pacer.generation}


@pytest.mark.parametrize("carrier", sorted(FRAMINGS))
def test_a_message_is_as_long_as_the_carrier_allows(carrier: str) -> None:
    framing = FRAMINGS[carrier]()
    format_ = WireFormat("audio/pcm", 16_000)
    pacer = StreamPacer(format_, least_ms=framing.least_ms, most_ms=framing.most_ms)
    pacer.put("a", bytes(int(format_.bytes_per_ms * 470)))
    pacer.end("a")
    sent = []
    for n in range(100):
        sent += [len(d.audio) / format_.bytes_per_ms for d in pacer.due(n * 0.02) if isinstance(d, AudioDue)]
    assert all(framing.least_ms <= ms <= framing.most_ms for ms in sent)
    if framing.most_ms > 20:
        assert max(sent) == 100, "several frames in a message"


def test_a_mark_that_does_not_come_back_is_late_2_s_after_its_audio() -> None:
    pacer = StreamPacer(ULAW)
    pacer.put("a", b"\x10" * 100 * MS)
    pacer.end("a")
    pacer.due(0.0)
    assert not pacer.late_mark(2.1)
    assert pacer.late_mark(2.11)
