// The transcript of both sides, as it is spoken, and of the tools between.

import { make } from "/page/make.js";

const SHOWN_UNHEARD = 12;

export class TranscriptView {
  constructor(log) {
    this.log = log;
    this.lines = new Map();
    this.tools = new Map();
    this.agent = "Agent";
    this.latest = { you: null, agent: null };
  }

  get empty() {
    return this.log.childElementCount === 0;
  }

  /** What the caller said: `text` replaces, `delta` adds. */
  heard({ item, text, delta, done }) {
    const line = this.line(item, "you", "You");
    if (delta !== undefined) line.text += delta;
    if (text) line.text = text;
    line.done = done;
    line.words.textContent = line.text || (done ? "(nothing was understood)" : "…");
    line.element.classList.toggle("pending", !done);
    line.element.setAttribute("aria-busy", String(!done));
    this.follow();
  }

  /** What sounded like the beginning of a turn held no words. */
  unheard({ item }) {
    this.lines.get(item)?.element.remove();
    this.lines.delete(item);
  }

  /** What the agent says. */
  said({ item, delta }) {
    const line = this.line(item, "agent", this.agent);
    line.text += delta;
    line.words.textContent = line.text.trim();
    this.follow();
  }

  /** A tool is asked (`name`, and what it was `given` as JSON text), or has answered (`output`, after `tookMs`). */
  tool({ call, name, given, output, tookMs }) {
    const known = this.tools.get(call) ?? this.newTool(call, name ?? "tool");
    if (given !== undefined) {
      known.given = given;
      known.brief.textContent = briefly(given);
      known.whole.querySelector(".given").textContent = pretty(given);
    }
    if (output !== undefined) {
      known.output = output;
      known.result.textContent = briefly(output);
      known.whole.querySelector(".gave").textContent = pretty(output);
      known.took.textContent = tookMs === null || tookMs < 1 ? "" : `${Math.round(tookMs)} ms`;
      known.element.classList.remove("pending");
    }
    this.follow();
  }

  newTool(call, name) {
    const element = make("div", "line tool pending");
    const speaker = make("p", "speaker", "Tool");
    const took = make("span", "took");
    speaker.append(took);
    const opened = make("details", "words");
    const summary = make("summary", "");
    const [brief, result] = [make("span", "brief"), make("span", "result", "…")];
    summary.append(make("code", "", name), brief, result);
    const whole = make("dl", "");
    whole.append(make("dt", "", "Arguments"), preformatted("given"), make("dt", "", "Result"), preformatted("gave"));
    opened.append(summary, whole);
    element.append(speaker, opened);
    this.log.append(element);
    const tool = { element, name, brief, result, took, whole, given: "", output: "" };
    this.tools.set(call, tool);
    element.tool = tool;
    return tool;
  }

  /** The agent was cut off: what was not heard is struck out. Known is the text that was `heard`, or, until the server
   *  has told it, which `share` of what had arrived. */
  cut({ item, share, heard }) {
    const line = this.lines.get(item);
    if (!line) return;
    const words = wordsOf(line.text);
    const count = heard === undefined ? Math.round(words.length * share) : wordsOf(heard).length;
    const lost = words.slice(count);
    const unheard = make("del", "");
    unheard.textContent = lost.slice(0, SHOWN_UNHEARD).join(" ") + (lost.length > SHOWN_UNHEARD ? " …" : "");
    line.cut = count;
    line.words.replaceChildren(
      `${words.slice(0, count).join(" ")} `, unheard, " ", make("span", "mark", "interrupted"));
  }

  /** Shows a turn's latency beside its answer; `open` is called when it is chosen. */
  badge(item, ms, verdict, open) {
    const badge = make("button", "badge", `${Math.round(ms)} ms`);
    badge.type = "button";
    badge.dataset.verdict = verdict;
    badge.setAttribute("aria-label", `Answered after ${Math.round(ms)} milliseconds; show where they went`);
    badge.addEventListener("click", open);
    const line = this.line(item, "agent", this.agent);
    line.ms = ms;
    line.element.querySelector(".speaker").append(badge);
  }

  /** Marks the line of whoever speaks: "you", "agent" or nobody. */
  speaking(side) {
    for (const known of ["you", "agent"]) this.latest[known]?.classList.toggle("speaking", known === side);
  }

  /** The dialogue as plain text. */
  asText() {
    const lines = new Map([...this.lines.values()].map((line) => [line.element, line]));
    return [...this.log.children]
      .map((element) => (element.tool ? toolText(element.tool) : lineText(lines.get(element))))
      .filter(Boolean)
      .map((text) => `${text}\n`)
      .join("");
  }

  line(item, side, speaker) {
    const known = this.lines.get(item);
    if (known) return known;
    const element = make("div", `line ${side}`);
    const name = make("p", "speaker");
    name.append(make("span", "name", speaker));
    const words = make("p", "words");
    element.append(name, words);
    this.log.append(element);
    this.latest[side]?.classList.remove("speaking");
    this.latest[side] = element;
    const line = { element, words, speaker, text: "", done: false, cut: null, ms: null };
    this.lines.set(item, line);
    return line;
  }

  follow() {
    this.log.scrollTop = this.log.scrollHeight;
  }
}

function lineText(line) {
  if (!line?.text.trim()) return "";
  const after = line.ms === null ? "" : ` (after ${Math.round(line.ms)} ms)`;
  const words = line.cut === null ? line.text.trim() : `${wordsOf(line.text).slice(0, line.cut).join(" ")} [interrupted]`;
  return `${line.speaker}${after}: ${words}`;
}

function toolText({ name, given, output }) {
  return `[${name} ${given || "{}"} → ${output || "…"}]`;
}

function preformatted(className) {
  const cell = make("dd", "");
  cell.append(make("pre", className));
  return cell;
}

// A JSON text in a line: "account: checking".
function briefly(json) {
  const value = parsed(json);
  if (value === null || typeof value !== "object") return String(value);
  const flat = (each) => (typeof each === "object" ? JSON.stringify(each) : String(each));
  return Object.entries(value).map(([name, each]) => (Array.isArray(value) ? flat(each) : `${name}: ${flat(each)}`)).join(", ");
}

function pretty(json) {
  const value = parsed(json);
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

function wordsOf(text) {
  return text.trim().split(/\s+/).filter(Boolean);
}
