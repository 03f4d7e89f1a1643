// The figures of the call: the last turn, P50 and P90, every turn's waterfall.

import { BUDGET_MS, percentile, verdictOn } from "/page/budget.js";
import { waterfall } from "/page/waterfall-view.js";

export class LatencyView {
  constructor(find) {
    this.find = find;
    this.totals = [];
    this.count = 0;
    this.turns = new Map();
  }

  /** Adds a turn; returns its total in ms. One that waited for a tool is held to its first sound, and is no part of the
   *  percentiles. */
  add({ item, latency, stages }) {
    const totalMs = sumOf(Object.values(stages));
    const firstMs = latency.kind === "tool" ? firstSoundMs(latency, stages, totalMs) : null;
    this.count += 1;
    if (firstMs === null) this.totals.push(totalMs);
    this.showFigures(totalMs, firstMs);
    for (const turn of this.turns.values()) turn.open = false;
    const view = waterfall({ number: latency.turn_id ?? this.count, stages, totalMs, heldMs: firstMs ?? totalMs, latency });
    view.open = true;
    this.turns.set(item, view);
    this.find("turns").prepend(view);
    this.find("empty-turns").hidden = true;
    return { totalMs, verdict: verdictOn(firstMs ?? totalMs) };
  }

  /** Opens a turn's waterfall and brings it into view. */
  open(item) {
    for (const [key, turn] of this.turns) turn.open = key === item;
    const chosen = this.turns.get(item);
    chosen?.scrollIntoView({ block: "nearest" });
    chosen?.querySelector("summary").focus();
  }

  showFigures(totalMs, firstMs) {
    const rounded = (ms) => (ms === null ? "–" : `${Math.round(ms)} ms`);
    const heldMs = firstMs ?? totalMs;
    const verdict = verdictOn(heldMs);
    this.find("figure-ms").textContent = String(Math.round(totalMs));
    this.find("p50").textContent = rounded(percentile(this.totals, 50));
    this.find("p90").textContent = rounded(percentile(this.totals, 90));
    this.find("turn-count").textContent = String(this.count);
    this.find("figure").dataset.verdict = verdict;
    const waited = firstMs === null ? "" : `It waited for a tool; the first sound came after ${rounded(firstMs)}, `;
    const words = {
      good: `${rounded(BUDGET_MS - heldMs)} inside the budget of ${BUDGET_MS}.`,
      late: `${rounded(heldMs - BUDGET_MS)} over the budget of ${BUDGET_MS}.`,
      wrong: `${rounded(heldMs - BUDGET_MS)} over the budget. A pause this long feels wrong.`,
    }[verdict];
    this.find("verdict").textContent = waited + words;
  }
}

function sumOf(values) {
  return values.reduce((sum, ms) => sum + ms, 0);
}

// What was heard while a tool ran, with what this side adds to the server's figure.
function firstSoundMs({ filler_ms }, { capture = 0, network = 0, playback = 0 }, totalMs) {
  return filler_ms == null ? totalMs : filler_ms + capture + network + playback;
}
