// Turns over budget or unanswered: a row each, which opens to the waterfall and the cause.

import { waterfall } from "/page/waterfall-view.js";
import { causeOf } from "/dashboard/causes.js";
import { clock, list, make, ms, opening } from "/dashboard/elements.js";

const MOST_ROWS = 60;
const KINDS = { plain: "plain", hit: "prefetch hit", tool: "tool", apology: "apology" };

export class SlowView {
  constructor(parent, showCall) {
    this.parent = parent;
    this.showCall = showCall;
  }

  show(turns) {
    const key = (turn) => `${turn.call_id} ${turn.turn_id}`;
    list(this.parent, turns.slice(0, MOST_ROWS), key, (turn) => this.row(turn));
  }

  row(turn) {
    const took = turn.voice_to_voice_ms == null ? "unanswered" : `${ms(turn.voice_to_voice_ms)} ms`;
    const summary = [
      make("span", "when", clock(turn.at)),
      make("span", "what", make("b", "", causeOf(turn)), make("span", "meta", this.about(turn))),
      make("span", "took", took),
    ];
    const row = opening(summary, (panel) => this.detail(panel, turn));
    row.classList.toggle("over", Boolean(turn.over_budget) || turn.outcome === "unanswered");
    return row;
  }

  about(turn) {
    return [turn.region, KINDS[turn.kind] ?? turn.outcome, turn.agent, turn.first ? "first turn" : ""]
      .filter(Boolean)
      .join(" · ");
  }

  detail(panel, turn) {
    const vendors = Object.entries(turn.providers).map(([stage, vendor]) => `${stage}: ${vendor}`);
    const cause = make("p", "cause", make("b", "", "Cause: "), causeOf(turn));
    if (turn.blamed) cause.append(make("span", "meta", ` (stage ${turn.blamed.replaceAll("_", " ")})`));
    panel.append(cause);
    if (turn.stages_ms) {
      const number = turn.turn_id;
      const stages = { ...turn.stages_ms, ...turn.client_ms };
      const totalMs = Object.values(stages).reduce((sum, took) => sum + took, 0);
      const drawn = waterfall({ number, stages, totalMs, latency: turn });
      drawn.open = true;
      panel.append(drawn);
    }
    panel.append(make("p", "meta", vendors.join(" · ")));
    const whole = make("button", "button quiet small", "Whole call");
    whole.type = "button";
    whole.addEventListener("click", () => this.showCall(turn.call_id));
    panel.append(whole);
  }
}
