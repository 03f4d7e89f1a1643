// The dashboard: joins the stream of figures to its views.

import { CallsView } from "/dashboard/calls-view.js";
import { PercentileChart } from "/dashboard/charts.js";
import { ms, segments } from "/dashboard/elements.js";
import { Figures } from "/dashboard/figures.js";
import { LanesView, lanesOf } from "/dashboard/lanes-view.js";
import { Operator, Refused } from "/dashboard/operator.js";
import { SlowView } from "/dashboard/slow-view.js";
import { TilesView } from "/dashboard/tiles-view.js";

const CALLS_EVERY_MS = 5_000;
const LEAST_DRAW_MS = 250;

const find = (id) => document.getElementById(id);
const operator = new Operator(find);
const figures = new Figures();
const tiles = new TilesView(find("tiles"));
const lanes = new LanesView(find("lanes"));
const calls = new CallsView(find, operator);
const slow = new SlowView(find("slow"), (callId) => calls.open(callId).catch(trouble));
const whole = new PercentileChart(find("whole-chart"), { small: false });
const shown = { window: "1m", kind: "plain", order: "newest", region: "", agent: "", vendor: "" };
const away = new Set();
let drawn = 0;
let waiting = false;

/** What the kind is held to, first of all. */
const headlineOf = (kind) => (kind === "tool" ? "first_sound" : "total");
const TITLES = { total: "Last word to first answer, P90", first_sound: "Last word to first sound, P90" };

function scope() {
  const [slotS, slots] = figures.windows[shown.window] ?? [5, 12];
  const now = Date.now() / 1000;
  return [now - slotS * slots, now];
}

function draw() {
  const view = figures.view(shown);
  const headline = headlineOf(shown.kind);
  const turns = figures.slowTurns(shown, shown.order);
  const of = lanesOf(view.latencies, shown.kind, headline);
  showWhole(view.latencies.get(`${headline} ${shown.kind}`), headline);
  tiles.show(view);
  lanes.show(of, figures.budgets, scope(), figures.slowTurns(shown, "slowest"));
  find("no-lanes").hidden = of.length > 0;
  slow.show(turns);
  find("no-slow").hidden = turns.length > 0;
  for (const name of ["region", "agent", "vendor"]) offer(find(name), figures.labels[name]);
  showStatus(view.now);
}

function showWhole(of, headline) {
  const budget = figures.budgets[headline] ?? null;
  find("whole-title").textContent = TITLES[headline];
  find("whole-ms").textContent = of ? ms(of.p90) : "–";
  for (const name of ["p50", "p90", "p99"]) find(`whole-${name}`).textContent = of ? `${ms(of[name])} ms` : "–";
  find("whole-count").textContent = String(of?.count ?? 0);
  const over = of && budget !== null ? of.p90 - budget : 0;
  find("whole").dataset.verdict = !of ? "none" : over > 200 ? "wrong" : over > 0 ? "late" : "good";
  find("whole-verdict").textContent = !of
    ? "No turns of this kind yet."
    : over > 0
      ? `▲ ${ms(over)} ms over the budget of ${budget}.`
      : `✓ ${ms(-over)} ms inside the budget of ${budget}.`;
  whole.show(of?.overTime ?? [], budget, scope());
}

function showStatus({ regions }) {
  document.body.dataset.state = away.size ? "away" : "live";
  const names = regions === 1 ? [...figures.labels.region][0] : `${regions} regions`;
  find("status").textContent = away.size ? `Live, without ${[...away].join(", ")}` : `Live · ${names}`;
}

function offer(select, labels) {
  for (const label of labels) {
    if ([...select.options].some((option) => option.value === label)) continue;
    select.add(new Option(label, label));
  }
}

/** Draws soon, and not more often than a screen is worth. */
function redraw() {
  if (waiting) return;
  waiting = true;
  setTimeout(
    () =>
      requestAnimationFrame(() => {
        waiting = false;
        drawn = performance.now();
        draw();
      }),
    Math.max(0, LEAST_DRAW_MS - (performance.now() - drawn)),
  );
}

function react(name, data) {
  if (name === "lost") {
    document.body.dataset.state = "lost";
    find("status").textContent = `Trying again: ${data.message}`;
    return;
  }
  if (name === "away") away.add(data.region);
  else {
    away.delete(data.region);
    figures.take(data);
  }
  redraw();
}

function trouble(error) {
  find("notice").hidden = false;
  find("notice-text").textContent = error.message;
}

async function watch() {
  find("notice").hidden = true;
  try {
    await calls.refresh();
    await operator.follow("/v1/figures/stream", () => figures.since, react);
  } catch (error) {
    if (error instanceof Refused) document.body.dataset.state = "refused";
    find("status").textContent = "Not connected";
    trouble(error);
  }
}

segments(find("windows"), (value) => {
  shown.window = value;
  redraw();
});
segments(find("kinds"), (value) => {
  shown.kind = value;
  redraw();
});
segments(find("slow-order"), (value) => {
  shown.order = value;
  redraw();
});
for (const name of ["region", "agent", "vendor"]) {
  find(name).addEventListener("change", ({ target }) => {
    shown[name] = target.value;
    redraw();
  });
}
find("notice-action").addEventListener("click", watch);
setInterval(() => {
  if (document.body.dataset.state === "live") calls.refresh().catch(() => {});
}, CALLS_EVERY_MS);
watch();
