"""The process in which speech is recognised: pocketsphinx decoders, fed over a pipe.

Recognition holds the interpreter lock, so it has a process of its own. Started by :mod:`.sphinx`; knows
nothing of turns or of the wire.

Both directions carry pickled tuples. In: (op, stream, *rest); out: (kind, stream, ticket, words), a word being
(text, start_s, end_s, confidence) with times from the start of the stream.
"""

import math
import re
import tempfile
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import numpy as np
from pocketsphinx import Decoder, get_model_path
from pocketsphinx.lm import ArpaBoLM

from repartee.standins.detector import VAD_HZ
from repartee.standins.domain import sentences
from repartee.standins.pcm import Samples

DISCOUNT_MASS = 0.1
"""The share of probability kept for word sequences that the domain's sentences do not have."""

NOISE_RMS = 120
"""Noise of this level (of 32768) is added to what is recognised: the acoustic model was trained in rooms. Synthetic
speech over digital silence costs it 21 % of the words, with this noise 1 to 3 %."""

START_CMN = "62.8,-2.9,-4.4,15,-5.4,-2.9,-4.1,-12.8,-3.2,-6.8,2.9,-1.5,-8.2"
"""Cepstral means after some minutes of speech; a call that began without them would lose its first sentences."""

UTTERANCE_LIMIT_S = 60
"""What goes on longer than this is no utterance; the rest of it is not listened to."""

PARTIAL_BYTES = VAD_HZ // 10 * 2
FRAMES_PER_S = 100
FILLERS = re.compile(r"^(<.*>|\[.*\])$")
Words = list[tuple[str, float, float, float]]


def build_models(folder: Path) -> tuple[Path, Path]:
    """Write the domain's language model and its dictionary; their paths. Takes about 0.2 s."""
    lines = sentences()
    model = ArpaBoLM(text="\n".join(lines), add_start=True, discount_mass=DISCOUNT_MASS)
    model.compute()
    lm, dictionary = folder / "domain.arpa", folder / "domain.dict"
    model.write_file(str(lm))
    wanted = {word for line in lines for word in line.split()}
    source = Path(get_model_path("en-us/cmudict-en-us.dict"))
    with source.open(encoding="utf-8") as entries:
        kept = [entry for entry in entries if re.sub(r"\(\d+\)$", "", entry.split(" ", 1)[0]) in wanted]
    dictionary.write_text("".join(kept), encoding="utf-8")
    return lm, dictionary


def make_decoder(lm: Path, dictionary: Path) -> Decoder:
    """A decoder for the domain, at 16 kHz. Takes about 20 ms."""
    return Decoder(
        hmm=get_model_path("en-us/en-us"),
        lm=str(lm),
        dict=str(dictionary),
        samprate=VAD_HZ,
        fwdflat=False,
        bestpath=False,
        loglevel="FATAL",
    )


def _noise() -> Samples:
    samples = np.random.default_rng(1).normal(0, NOISE_RMS, VAD_HZ)
    return samples.astype(np.int16)


@dataclass(slots=True)
class SphinxStream:
    """One connection's decoder and the utterance it is in."""

    decoder: Decoder
    onset_s: float = 0.0
    size: int = 0
    undecoded: int = 0
    decoding: bool = False


class SphinxWorker:
    """All streams of one process."""

    def __init__(self, pipe: Connection, lm: Path, dictionary: Path) -> None:
        self._pipe = pipe
        self._lm = lm
        self._dictionary = dictionary
        self._streams: dict[int, SphinxStream] = {}
        self._spare = [make_decoder(lm, dictionary)]
        self._noise = _noise()
        self._random = Random(1)

    def run(self) -> None:
        """Serve until the pipe closes or says so."""
        while True:
            try:
                op, stream_id, *rest = self._pipe.recv()
            except (EOFError, OSError):
                return
            if op == "stop":
                return
            if op == "open":
                decoder = self._spare.pop() if self._spare else make_decoder(self._lm, self._dictionary)
                decoder.set_cmn(START_CMN)
                self._streams[stream_id] = SphinxStream(decoder)
            elif (stream := self._streams.get(stream_id)) is not None:
                try:
                    self._serve(op, stream_id, stream, rest)
                except Exception:  # one caller's audio must not be the end of everybody's
                    traceback.print_exc()
                    self._replace(op, stream_id, stream, rest)

    def _replace(self, op: str, stream_id: int, stream: SphinxStream, rest: list[object]) -> None:
        """A decoder has failed: this utterance has no words, and the next a new decoder."""
        stream.decoder = make_decoder(self._lm, self._dictionary)
        stream.decoder.set_cmn(START_CMN)
        stream.decoding = False
        if op == "finish":
            self._pipe.send(("final", stream_id, *rest, []))

    def _serve(self, op: str, stream_id: int, stream: SphinxStream, rest: list[object]) -> None:
        match op, rest:
            case "begin", [float(onset_s), bytes(audio)]:
                self._end(stream)
                stream.onset_s, stream.size, stream.undecoded = onset_s, 0, 0
                stream.decoder.start_utt()
                stream.decoding = True
                self._hear(stream_id, stream, audio)
            case "hear", [bytes(audio)]:
                self._hear(stream_id, stream, audio)
            case "finish", [int(ticket)]:
                # The decoder is not stopped: the utterance may go on, and its last pass changes hardly a word.
                self._pipe.send(("final", stream_id, ticket, self._words(stream)))
            case "reset", _:
                self._end(stream)
            case "close", _:
                self._end(stream)
                del self._streams[stream_id]
                self._spare.append(stream.decoder)
            case _:
                raise ValueError(f"unknown operation {op!r}")

    def _end(self, stream: SphinxStream) -> None:
        if stream.decoding:
            stream.decoder.end_utt()
            stream.decoding = False

    def _hear(self, stream_id: int, stream: SphinxStream, audio: bytes) -> None:
        stream.size += len(audio)
        # The decoder takes no empty audio: it raises IndexError.
        if not audio or not stream.decoding or stream.size > UTTERANCE_LIMIT_S * VAD_HZ * 2:
            return
        stream.decoder.process_raw(self._with_noise(audio), False, False)
        stream.undecoded += len(audio)
        if stream.undecoded >= PARTIAL_BYTES:
            stream.undecoded = 0
            self._pipe.send(("partial", stream_id, 0, self._words(stream)))

    def _words(self, stream: SphinxStream) -> Words:
        segments = stream.decoder.seg() if stream.decoding else None
        found: Words = []
        for segment in segments or ():
            text = re.sub(r"\(\d+\)$", "", segment.word)
            if FILLERS.match(text):
                continue
            start_s = stream.onset_s + segment.start_frame / FRAMES_PER_S
            end_s = stream.onset_s + (segment.end_frame + 1) / FRAMES_PER_S
            confidence = min(1.0, max(0.0, math.exp(min(0.0, segment.prob / 10_000))))
            found.append((text, round(start_s, 3), round(end_s, 3), round(confidence, 3)))
        return found

    def _with_noise(self, audio: bytes) -> bytes:
        samples = np.frombuffer(audio, "<i2")
        start = self._random.randrange(len(self._noise))
        noise = np.resize(self._noise[start:], len(samples)) if start < len(self._noise) else 0
        return bytes(np.clip(samples.astype(np.int32) + noise, -32768, 32767).astype("<i2").tobytes())


def main(pipe: Connection) -> None:
    """The process's entry: build the models, say that it is ready, serve."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with tempfile.TemporaryDirectory(prefix="standins-") as folder:
        lm, dictionary = build_models(Path(folder))
        worker = SphinxWorker(pipe, lm, dictionary)
        pipe.send(("ready", 0, 0, []))
        worker.run()
