// The log of a call's events, in the order in which they were sent and received.

import { download, make } from "/page/make.js";

const MOST = 1000;
const ARROWS = { sent: "→", received: "←" };

export class EventsView {
  constructor(find) {
    this.list = find("event-list");
    this.filter = find("event-filter");
    this.empty = find("no-events");
    this.entries = [];
    this.filter.addEventListener("input", () => this.sift());
    find("save-events").addEventListener("click", () => this.save());
    this.saving = find("save-events");
    find("events-tab").addEventListener("click", () => this.showLatest());
  }

  showLatest() {
    this.list.scrollTop = this.list.scrollHeight;
  }

  clear() {
    this.entries = [];
    this.list.replaceChildren();
    this.saving.disabled = true;
    this.empty.hidden = false;
  }

  /** Adds an event; of very many the oldest are forgotten. */
  add({ way, event, atMs }) {
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    const row = make("li", way);
    const opened = make("details", "");
    const summary = make("summary", "");
    const said = make("span", "visually-hidden", `${way} `);
    summary.append(make("time", "", (atMs / 1000).toFixed(2)), arrow(way), said, make("code", "", event.type));
    opened.append(summary);
    opened.addEventListener("toggle", () => {
      if (opened.open && opened.children.length === 1) {
        opened.append(make("pre", "", JSON.stringify(event, null, 2)));
      }
    });
    row.append(opened);
    this.list.append(row);
    this.entries.push({ way, atMs, event, row });
    this.hideUnlessWanted(row, event);
    if (this.entries.length > MOST) this.entries.shift().row.remove();
    this.saving.disabled = false;
    this.empty.hidden = true;
    if (atEnd) this.showLatest();
  }

  sift() {
    for (const { row, event } of this.entries) this.hideUnlessWanted(row, event);
  }

  hideUnlessWanted(row, event) {
    row.hidden = !event.type.includes(this.filter.value.trim());
  }

  save() {
    const lines = this.entries.map(({ way, atMs, event }) => JSON.stringify({ at_ms: Math.round(atMs), way, event }));
    download("events.jsonl", `${lines.join("\n")}\n`, "application/jsonl");
  }
}

function arrow(way) {
  const shown = make("span", "arrow", ARROWS[way]);
  shown.setAttribute("aria-hidden", "true");
  return shown;
}
