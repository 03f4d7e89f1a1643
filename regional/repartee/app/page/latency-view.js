// The figures of the call: the last turn, P50 and P90, every turn's waterfall.

import { BUDGET_MS, percentile, verdictOn } from "/page/budget.js";
import { waterfall } from "/page/waterfall-view.js";

export class LatencyView {
  constructor(find) {
    this.find = find;
    this.totals = [];
    this.turns = new Map();
  }

  /** Adds a turn; returns its total in ms. */
  add({ item, latency, stages }) {
    const totalMs = Object.values(stages).reduce((sum, ms) => sum + ms, 0);
    this.totals.push(totalMs);
    this.showFigures(totalMs);
    for (const turn of this.turns.values()) turn.open = false;
    const view = waterfall({ number: latency.turn_id ?? this.totals.length, stages, totalMs, latency });
    view.open = true;
    this.turns.set(item, view);
    this.find("turns").prepend(view);
    this.find("empty-turns").hidden = true;
    return totalMs;
  }

  /** Opens a turn's waterfall and brings it into view. */
  open(item) {
    for (const [key, turn] of this.turns) turn.open = key === item;
    const chosen = this.turns.get(item);
    chosen?.scrollIntoView({ block: "nearest" });
    chosen?.querySelector("summary").focus();
  }

  showFigures(totalMs) {
    const rounded = (ms) => (ms === null ? "–" : String(Math.round(ms)));
    this.find("figure-ms").textContent = rounded(totalMs);
    this.find("p50").textContent = `${rounded(percentile(this.totals, 50))} ms`;
    this.find("p90").textContent = `${rounded(percentile(this.totals, 90))} ms`;
    this.find("turn-count").textContent = String(this.totals.length);
    const verdict = verdictOn(totalMs);
    this.find("figure").dataset.verdict = verdict;
    this.find("verdict").textContent = {
      good: `${Math.round(BUDGET_MS - totalMs)} ms inside the budget of ${BUDGET_MS}.`,
      late: `${Math.round(totalMs - BUDGET_MS)} ms over the budget of ${BUDGET_MS}.`,
      wrong: `${Math.round(totalMs - BUDGET_MS)} ms over the budget. A pause this long feels wrong.`,
    }[verdict];
  }
}
