"""Fit the weights of the search for the end of speech: ``python tools/fit_speech_end.py FOLDER [--check]``.

FOLDER holds recorded turns, as ``repartee bench turns`` reads them. Each is heard in each of that command's
conditions, and asked about from 150 to 500 ms after its end. The fit is a logistic regression of "speech goes on" in
the second around the end, every recording and condition weighing the same. It prints the errors over recordings that
the fit had not seen (five folds), and writes ``regional/repartee/audio/end_weights.py``, but not with ``--check``.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from repartee.audio import end_search
from repartee.bench.conditions import CONDITIONS, heard_in, to_pcm
from repartee.bench.recordings import RATE_HZ, RecordedTurn, read_recordings

ASKED_MS = (150, 200, 250, 300, 350, 400, 500)
WINDOW_S = 3.0
AROUND_MS = 1000.0
FOLDS = 5
PENALTY = 10.0
TARGET = Path(__file__).parents[1] / "regional" / "repartee" / "audio" / "end_weights.py"
HEAD = '''"""What the levels around a moment say about whether speech goes on. Made by ``tools/fit_speech_end.py``."""

import numpy as np

WEIGHTS = np.array(
    [
'''

Floats = npt.NDArray[np.float64]
Question = tuple[int, str, int]
"""Which recording, in which condition, how long after its end."""


class Material:
    """All recordings in all conditions, as the search sees them."""

    def __init__(self, turns: list[RecordedTurn]) -> None:
        self.windows: dict[Question, npt.NDArray[np.int16]] = {}
        self.true_ms: dict[Question, float] = {}
        self.evidence: dict[Question, Floats] = {}
        for number, turn in enumerate(turns):
            for condition in CONDITIONS:
                heard = np.frombuffer(to_pcm(heard_in(turn, condition, turns)), dtype="<i2")
                for asked_ms in ASKED_MS:
                    self._add((number, condition, asked_ms), heard, turn.ends_s)

    def _add(self, key: Question, heard: npt.NDArray[np.int16], ends_s: float) -> None:
        stop = int((ends_s + key[2] / 1000) * RATE_HZ)
        start = max(0, stop - int(WINDOW_S * RATE_HZ))
        window = heard[start:stop]
        self.windows[key] = window
        self.true_ms[key] = (ends_s - start / RATE_HZ) * 1000
        self.evidence[key] = end_search.describe(end_search.band_powers(window, RATE_HZ))[0]


def fit(material: Material, keys: Iterable[Question]) -> Floats:
    """The weights that suit these best."""
    rows, goes_on, weight = [], [], []
    for key in keys:
        from_end = (np.arange(len(material.evidence[key])) + 0.5) * end_search.HOP_MS - material.true_ms[key]
        near = from_end > -AROUND_MS
        speech = from_end[near] < 0
        rows.append(material.evidence[key][near])
        goes_on.append(speech)
        weight.append(np.where(speech, 30 / max(speech.sum(), 1), 30 / max((~speech).sum(), 1)))
    x, y, w = np.concatenate(rows), np.concatenate(goes_on).astype(float), np.concatenate(weight)
    weights = np.zeros(x.shape[1])
    for _ in range(12):
        guess = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (w * (guess - y)) + PENALTY * weights
        curve = (x * (w * guess * (1 - guess))[:, None]).T @ x + PENALTY * np.eye(weights.size)
        weights = weights - np.linalg.solve(curve, slope)
    return weights


def report(material: Material, recordings: int) -> None:
    """Print the errors over recordings that were left out of the fit."""
    errors: dict[tuple[str, int], list[float]] = {}
    certain: dict[tuple[str, int], list[bool]] = {}
    for fold in range(FOLDS):
        weights = fit(material, [key for key in material.windows if key[0] % FOLDS != fold])
        end_search.WEIGHTS = weights  # type: ignore[misc]
        for key in material.windows:
            if key[0] % FOLDS == fold and (found := end_search.search_end(material.windows[key], RATE_HZ)):
                errors.setdefault(key[1:], []).append(found.ms - material.true_ms[key])
                certain.setdefault(key[1:], []).append(found.certain)
    print(
        f"{recordings} recordings; P10/P50/P90 of the error in ms, off by more than 100, said to be certain"
    )
    for (condition, asked_ms), found_errors in errors.items():
        low, middle, high = np.percentile(found_errors, [10, 50, 90])
        off = np.abs(np.array(found_errors)) > 100
        sure = np.array(certain[condition, asked_ms])
        print(
            f"{condition:11} {asked_ms:4} ms after: {low:5.0f} {middle:5.0f} {high:5.0f}  {off.mean():4.0%}"
            f"  certain {sure.mean():4.0%}, of them off {off[sure].mean() if sure.any() else 0:4.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args()
    turns = read_recordings(given.folder)
    material = Material(turns)
    report(material, len(turns))
    if not given.check:
        weights = fit(material, material.windows)
        rows = "".join(f"        {weight:.4f},\n" for weight in weights)
        TARGET.write_text(f"{HEAD}{rows}    ]\n)\n")


if __name__ == "__main__":
    main()
