// The transcript of both sides, as it is spoken.

const SHOWN_UNHEARD = 12;

export class TranscriptView {
  constructor(log) {
    this.log = log;
    this.lines = new Map();
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
    const line = this.line(item, "agent", "Agent");
    line.text += delta;
    line.words.textContent = line.text.trim();
    this.follow();
  }

  /** The agent was cut off: what was not heard is struck out. Known is the text that was `heard`, or, until the server
   *  has told it, which `share` of what had arrived. */
  cut({ item, share, heard }) {
    const line = this.lines.get(item);
    if (!line) return;
    const words = wordsOf(line.text);
    const count = heard === undefined ? Math.round(words.length * share) : wordsOf(heard).length;
    const note = document.createElement("span");
    note.className = "mark";
    note.textContent = "interrupted";
    const lost = words.slice(count);
    const unheard = document.createElement("del");
    unheard.textContent = lost.slice(0, SHOWN_UNHEARD).join(" ") + (lost.length > SHOWN_UNHEARD ? " …" : "");
    line.words.replaceChildren(`${words.slice(0, count).join(" ")} `, unheard, " ", note);
  }

  /** Shows a turn's latency beside its answer; `open` is called when it is chosen. */
  badge(item, ms, verdict, open) {
    const badge = document.createElement("button");
    badge.type = "button";
    badge.className = "badge";
    badge.dataset.verdict = verdict;
    badge.textContent = `${Math.round(ms)} ms`;
    badge.setAttribute("aria-label", `Answered after ${Math.round(ms)} milliseconds; show where they went`);
    badge.addEventListener("click", open);
    this.line(item, "agent", "Agent").element.querySelector(".speaker").append(badge);
  }

  line(item, side, speaker) {
    const known = this.lines.get(item);
    if (known) return known;
    const element = document.createElement("div");
    element.className = `line ${side}`;
    const name = document.createElement("p");
    name.className = "speaker";
    name.textContent = speaker;
    const words = document.createElement("p");
    words.className = "words";
    element.append(name, words);
    this.log.append(element);
    const line = { element, words, text: "", done: false };
    this.lines.set(item, line);
    return line;
  }

  follow() {
    this.log.scrollTop = this.log.scrollHeight;
  }
}

function wordsOf(text) {
  return text.trim().split(/\s+/).filter(Boolean);
}
