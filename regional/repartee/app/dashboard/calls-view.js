// The calls that the regions keep: a row each, which opens to the timeline, the words, the tools and the recording.

import { clock, list, make, ms, opening } from "/dashboard/elements.js";
import { money } from "/dashboard/tiles-view.js";

const WHO = { caller: "Caller", user: "Caller", agent: "Agent", assistant: "Agent" };

export class CallsView {
  constructor(find, operator) {
    this.find = find;
    this.operator = operator;
    this.calls = new Map();
    find("more-calls").addEventListener("click", () => this.more());
  }

  /** Asks for the newest calls. */
  async refresh() {
    const { calls } = await this.operator.json("/v1/calls?limit=30");
    this.take(calls);
    if (calls.length === 30) this.find("more-calls").hidden = false;
  }

  async more() {
    const oldest = Math.min(...[...this.calls.values()].map((call) => Date.parse(call.started_at)));
    const { calls } = await this.operator.json(`/v1/calls?limit=30&before=${oldest / 1000}`);
    this.find("more-calls").hidden = calls.length < 30;
    this.take(calls);
  }

  take(calls) {
    for (const call of calls) this.calls.set(call.call_id, call);
    const newest = [...this.calls.values()].sort((a, b) => b.started_at.localeCompare(a.started_at));
    const rows = this.find("calls");
    // A call that has changed gets a new row, unless it is open.
    const key = (call) => `${call.call_id} ${call.ended} ${call.turns}`;
    const open = new Map();
    for (const row of rows.children) {
      if (row.querySelector("[aria-expanded=true]")) open.set(row.dataset.key.split(" ")[0], row.dataset.key);
    }
    list(rows, newest, (call) => open.get(call.call_id) ?? key(call), (call) => this.row(call));
    this.find("no-calls").hidden = newest.length > 0;
  }

  row(call) {
    const about = [call.agent, call.region, call.transport, call.caller].filter(Boolean).join(" · ");
    const turns = `${call.turns} ${call.turns === 1 ? "turn" : "turns"}`;
    const summary = [
      make("span", "when", clock(call.started_at)),
      make("span", "what", make("b", "", `${call.ended.replaceAll("_", " ")}, ${turns}`), make("span", "meta", about)),
      make("span", "took", `${call.seconds.toFixed(0)} s`),
    ];
    const row = opening(summary, (panel) => this.fill(panel, call.call_id));
    row.dataset.call = call.call_id;
    row.classList.toggle("over", call.unanswered > 0 || call.faults > 0);
    return row;
  }

  /** Opens a call's row and brings it into view. */
  async open(callId) {
    if (!this.calls.has(callId)) this.take([await this.operator.json(`/v1/calls/${callId}`)]);
    const row = [...this.find("calls").children].find((one) => one.dataset.call === callId);
    const button = row.querySelector("button");
    if (button.getAttribute("aria-expanded") === "false") button.click();
    button.scrollIntoView({ block: "nearest" });
    button.focus();
  }

  async fill(panel, callId) {
    panel.append(make("p", "meta", "Loading…"));
    try {
      const call = await this.operator.json(`/v1/calls/${callId}`);
      panel.replaceChildren(facts(call), track(call), timeline(call));
    } catch (error) {
      panel.replaceChildren(make("p", "meta", error.message));
      return;
    }
    await this.addRecording(panel, callId);
  }

  /** A recording needs the key, which an audio element cannot send. */
  async addRecording(panel, callId) {
    const response = await this.operator.get(`/v1/calls/${callId}/recording`);
    if (response.status !== 200 || panel.hidden) return;
    const player = make("audio", "recording");
    player.controls = true;
    player.src = URL.createObjectURL(await response.blob());
    player.setAttribute("aria-label", "Recording of the call");
    panel.prepend(player);
  }
}

function facts(call) {
  const cost = call.cost == null ? "" : money(call.cost, call.currency ?? "USD");
  const vendors = Object.values(call.vendors ?? {}).join(", ");
  return make("p", "meta", [call.call_id, vendors, cost].filter(Boolean).join(" · "));
}

/** Every turn, word and tool at its place in the call. */
function track(call) {
  const start = Date.parse(call.started_at);
  const strip = make("div", "call-track");
  strip.setAttribute("aria-hidden", "true");
  for (const entry of call.timeline) {
    const mark = make("i");
    mark.dataset.event = entry.event;
    if (entry.who) mark.dataset.who = entry.who;
    const share = (Date.parse(entry.at) - start) / Math.max(call.seconds * 1000, 1);
    mark.style.left = `${(100 * Math.min(Math.max(share, 0), 1)).toFixed(2)}%`;
    strip.append(mark);
  }
  return strip;
}

function timeline(call) {
  const start = Date.parse(call.started_at);
  const entries = [...call.timeline].sort((a, b) => a.at.localeCompare(b.at));
  const rows = entries.map((entry) => {
    const at = make("time", "when", `${((Date.parse(entry.at) - start) / 1000).toFixed(1)} s`);
    const row = make("li", "", at, make("div", "entry", ...said(entry)));
    row.dataset.event = entry.event;
    if (entry.who) row.dataset.who = entry.who;
    return row;
  });
  return make("ol", "call-timeline", ...rows);
}

function said(entry) {
  switch (entry.event) {
    case "said":
      return [
        make("b", "who", WHO[entry.who] ?? entry.who),
        make("span", "said-words", entry.text),
        entry.interrupted ? make("span", "tag", "interrupted") : null,
      ];
    case "tool":
      return [
        make("b", "who", `Tool ${entry.tool}`),
        make("span", "meta", `${ms(entry.waited_ms)} ms waited${entry.prefetch ? `, prefetch ${entry.prefetch}` : ""}`),
        entry.arguments ? make("code", "", entry.arguments) : null,
        entry.result ? make("code", "", `→ ${entry.result}`) : null,
        entry.ok ? null : make("span", "tag", "failed"),
      ];
    case "turn":
      return [
        make("b", "who", `Turn ${entry.turn_id}`),
        make("span", "meta", turnWords(entry)),
        entry.over_budget ? make("span", "tag", "over budget") : null,
      ];
    case "interruption":
      return [make("b", "who", "Interruption"), make("span", "meta", `after ${ms(entry.heard_ms)} ms of the answer`)];
    default: {
      const detail = [entry.stage, entry.vendor, entry.trouble, entry.function, entry.error].filter(Boolean);
      return [make("b", "who", entry.event.replaceAll("_", " ")), make("span", "meta", detail.join(" "))];
    }
  }
}

function turnWords(entry) {
  if (entry.voice_to_voice_ms == null) return entry.outcome;
  const stages = Object.entries(entry.stages_ms).map(([name, took]) => `${name.replaceAll("_", " ")} ${ms(took)}`);
  return `${ms(entry.voice_to_voice_ms)} ms, ${entry.outcome} (${stages.join(", ")})`;
}
