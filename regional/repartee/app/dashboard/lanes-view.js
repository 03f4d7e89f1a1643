// The stages of a kind of turn, a lane each: over time, in figures, and against the budget.

import { STAGES } from "/page/budget.js";
import { causeOf } from "/dashboard/causes.js";
import { PercentileChart } from "/dashboard/charts.js";
import { make, ms } from "/dashboard/elements.js";

const WORDS = {
  first_sound: { words: "First sound", tells: "when a caller who waits for a tool hears something" },
  added: { words: "Beyond the tool", tells: "what the turn takes besides the tool" },
  total: { words: "Whole turn", tells: "last word to the answer’s first sound" },
  model: { words: "Speech model", tells: "a speech-to-speech model’s first sound" },
};
const ORDER = ["first_sound", "added", "total", ...Object.keys(STAGES), "model"];
const wordsOf = (stage) => WORDS[stage] ?? STAGES[stage] ?? { words: stage.replaceAll("_", " "), tells: "" };

/** The stages of this kind, in the order of time. `headline` has a chart of its own. */
export function lanesOf(latencies, kind, headline) {
  const rank = (stage) => (ORDER.indexOf(stage) + ORDER.length + 1) % (ORDER.length + 1);
  return [...latencies]
    .map(([key, figures]) => ({ stage: key.split(" ")[0], kind: key.split(" ")[1], ...figures }))
    .filter((lane) => lane.kind === kind && lane.stage !== headline)
    .sort((a, b) => rank(a.stage) - rank(b.stage));
}

export class LanesView {
  constructor(parent) {
    this.parent = parent;
    this.lanes = new Map();
  }

  show(lanes, budgets, scope, slow) {
    for (const [stage, lane] of this.lanes) {
      if (lanes.some((one) => one.stage === stage)) continue;
      lane.row.remove();
      this.lanes.delete(stage);
    }
    for (const figures of lanes) {
      if (!this.lanes.has(figures.stage)) this.lanes.set(figures.stage, this.add(figures.stage));
      const lane = this.lanes.get(figures.stage);
      this.parent.append(...(lane.row === this.parent.children[lanes.indexOf(figures)] ? [] : [lane.row]));
      this.update(lane, figures, budgets[figures.stage] ?? null, scope, slow);
    }
  }

  update(lane, figures, budget, scope, slow) {
    const over = budget !== null && figures.p90 > budget;
    lane.row.dataset.verdict = budget === null ? "none" : over ? "over" : "within";
    for (const name of ["p50", "p90", "p99"]) lane[name].textContent = ms(figures[name]);
    lane.budget.textContent = budget === null ? "–" : String(budget);
    lane.state.textContent = budget === null ? "" : over ? "▲ over budget" : "✓ within";
    lane.cause.textContent = over ? whyOver(figures.stage, slow) : "";
    lane.chart.show(figures.overTime, budget, scope);
  }

  add(stage) {
    const { words, tells } = wordsOf(stage);
    const cells = Object.fromEntries(["p50", "p90", "p99", "budget"].map((name) => [name, make("dd")]));
    const titles = { p50: "P50", p90: "P90", p99: "P99", budget: "Budget" };
    const figures = make(
      "dl",
      "lane-figures",
      ...Object.entries(cells).map(([name, cell]) => make("div", name, make("dt", "", titles[name]), cell)),
    );
    const swatch = make("i", "swatch");
    swatch.dataset.stage = stage;
    const state = make("span", "lane-state");
    const cause = make("span", "lane-cause");
    const drawing = make("div", "lane-chart");
    drawing.setAttribute("aria-hidden", "true");
    const name = make("div", "lane-name", make("h3", "", swatch, words), make("p", "", tells));
    const row = make("li", "lane", name, drawing, figures, make("p", "lane-verdict", state, cause));
    row.dataset.stage = stage;
    this.parent.append(row);
    return { row, state, cause, ...cells, chart: new PercentileChart(drawing, { small: true }) };
  }
}

/** The cause that most of the slow turns have for which this stage is blamed. */
function whyOver(stage, slow) {
  const counts = new Map();
  for (const turn of slow) {
    if (turn.blamed !== stage) continue;
    const cause = causeOf(turn);
    counts.set(cause, (counts.get(cause) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "";
}
