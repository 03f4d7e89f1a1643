"""`repartee bench encoding`: what cheaper encoding of the agent's voice saves, and what it takes from the voice.

Speech goes through the worker's own encoder and decoder, at each complexity. Quality is stated by the log-spectral
distance (``spectral_distance``), and by ViSQOL's estimate of an opinion score where visqol-python is installed: a
model's guess at what listeners would say, not listeners.
"""

import functools
import importlib
import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from repartee.audio.pcm import resampler
from repartee.bench import recordings
from repartee.bench.spectral_distance import delay_of, log_spectral_distance_db
from repartee.client.report import write_report
from repartee.client.webrtc import load_opus
from repartee.rtc.opus import OpusDecoder, OpusEncoder, OpusLibrary, OpusSettings
from repartee.standins.synthesiser import synthesise

RATE_HZ = 24_000
FRAME_BYTES = RATE_HZ // 50 * 2
COMPLEXITIES = (0, 1, 2, 3, OpusSettings().complexity, 10)
VISQOL_HZ = 16_000
SENTENCES = (
    "Good morning. You have reached the front desk, how can I help you?",
    "We open at eight thirty on weekdays, and at nine on Saturdays.",
    "Your balance is one thousand two hundred and forty pounds and fifty pence.",
    "There is parking behind the house, two minutes from the central station.",
)


def encoding(
    complexities: Annotated[
        list[int] | None, typer.Option("--complexity", min=0, max=10, help="Only this one; may be repeated.")
    ] = None,
    bitrate: Annotated[
        int, typer.Option(min=12_000, max=128_000, help="Bits a second.")
    ] = OpusSettings().bitrate,
    folder: Annotated[
        Path | None,
        typer.Option("--recordings", help="Recorded people (as for bench turns), not a synthetic voice."),
    ] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
) -> None:
    """Encode speech at each complexity of Opus: CPU a frame, and how much of the voice is left.

    The log-spectral distance ranks settings; `pip install "visqol-python[lattice]"` adds ViSQOL's estimate of an
    opinion score (1 to 5).
    """
    speech, library = _speech(folder), OpusLibrary(load_opus())
    rows = [_row(speech, library, OpusSettings(bitrate, each)) for each in complexities or COMPLEXITIES]
    seconds = sum(len(each) for each in speech) / 2 / RATE_HZ
    told = {
        "speech": "recorded" if folder else "synthetic",
        "seconds": round(seconds, 1),
        "bitrate": bitrate,
        "opus": library.version,
        "rows": rows,
    }
    write_report(told, json_path)
    Console(highlight=False).print(_view(rows))


def _speech(folder: Path | None) -> list[bytes]:
    """PCM16 at RATE_HZ, a piece a sentence. Raises VoiceError."""
    if folder is None:
        return [synthesise(sentence).pcm for sentence in SENTENCES]
    pieces = []
    for turn in recordings.read_recordings(folder):
        stream = resampler(recordings.RATE_HZ, RATE_HZ)
        pcm = (turn.samples * 32_767).astype("<i2").tobytes()
        pieces.append(stream.feed(pcm) + stream.flush())
    return pieces


def _row(speech: Sequence[bytes], library: OpusLibrary, settings: OpusSettings) -> dict[str, Any]:
    took_s, frames, size, distances, scores = 0.0, 0, 0, [], []
    for piece in speech:
        encoder, decoder = OpusEncoder(library, settings), OpusDecoder(library)
        # A frame of silence after it brings out what the encoder still holds.
        padded = piece + bytes(-len(piece) % FRAME_BYTES + FRAME_BYTES)
        began = time.process_time()
        packets = [encoder.encode(padded[at : at + FRAME_BYTES]) for at in range(0, len(padded), FRAME_BYTES)]
        took_s += time.process_time() - began
        frames += len(packets)
        size += sum(map(len, packets))
        original, decoded = _samples(piece), _samples(b"".join(map(decoder.decode, packets)))
        distances.append(log_spectral_distance_db(original, decoded))
        scores.append(_opinion(original, decoded))
    known = [score for score in scores if score is not None]
    return {
        "complexity": settings.complexity,
        "us_per_frame": round(took_s / frames * 1e6, 1),
        "kbit_s": round(size * 8 / (frames * 20), 1),
        "log_spectral_distance_db": round(float(np.nanmean(distances)), 2),
        "visqol_mos": round(float(np.mean(known)), 2) if known else None,
    }


def _samples(pcm: bytes) -> npt.NDArray[np.float64]:
    return np.frombuffer(pcm, dtype="<i2").astype(np.float64) / 32_768


def _opinion(original: npt.NDArray[np.float64], decoded: npt.NDArray[np.float64]) -> float | None:
    """ViSQOL's, in its mode for speech; None where it is not installed."""
    if importlib.util.find_spec("visqol") is None:
        return None
    late = delay_of(original, decoded)
    pair = [_at_visqols_rate(each) for each in (original, decoded[late : late + original.size])]
    return float(_visqol().measure_from_arrays(*pair, VISQOL_HZ).moslqo)


@functools.cache
def _visqol() -> Any:
    made = importlib.import_module("visqol").VisqolApi()
    made.create(mode="speech")
    return made


def _at_visqols_rate(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    stream = resampler(RATE_HZ, VISQOL_HZ)
    pcm = (samples * 32_767).astype("<i2").tobytes()
    return _samples(stream.feed(pcm) + stream.flush())


def _view(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="The agent's voice through Opus")
    for title in ("complexity", "µs a frame", "kbit/s", "log-spectral distance", "ViSQOL"):
        table.add_column(title, justify="right")
    for row in rows:
        opinion = "–" if row["visqol_mos"] is None else f"{row['visqol_mos']:.2f}"
        distance = f"{row['log_spectral_distance_db']:.2f} dB"
        figures = (str(row["complexity"]), f"{row['us_per_frame']:.0f}", f"{row['kbit_s']:.1f}")
        table.add_row(*figures, distance, opinion)
    return table
