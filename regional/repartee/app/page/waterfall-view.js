// One turn as a waterfall: every stage drawn where it happened, against the budget.

import { BUDGET_MS, laidOut, verdictOn } from "/page/budget.js";
import { make } from "/page/make.js";

const STEPS_MS = [250, 500, 1000, 2000, 5000, 10_000, 20_000];
const ROOM = 0.28;

/** A <details> element: the whole turn in one bar, and inside it a row a stage. */
export function waterfall({ number, stages, totalMs, heldMs, latency }) {
  const rows = laidOut(stages);
  const scaleMs = Math.max(BUDGET_MS, totalMs) * 1.04;
  const turn = make("details", "turn");
  turn.dataset.verdict = verdictOn(heldMs);
  const summary = make("summary", "");
  summary.append(
    make("span", "turn-number", String(number)),
    strip(rows, scaleMs),
    make("span", "turn-ms", `${Math.round(totalMs)} ms`),
  );
  turn.append(summary, stageTable(rows, scaleMs, number), notes(latency));
  return turn;
}

function strip(rows, scaleMs) {
  const bar = make("span", "strip");
  bar.setAttribute("aria-hidden", "true");
  for (const row of rows) {
    const piece = make("i", "");
    piece.dataset.stage = row.name;
    piece.style.left = percent(row.startMs / scaleMs);
    piece.style.width = percent(Math.max(0, row.ms) / scaleMs);
    bar.append(piece);
  }
  bar.append(budgetLine(scaleMs));
  return bar;
}

function stageTable(rows, scaleMs, number) {
  const table = make("table", "stages");
  const caption = make("caption", "visually-hidden", `Stages of turn ${number}, in milliseconds`);
  const body = make("tbody", "");
  for (const row of rows) body.append(stageRow(row, scaleMs));
  table.append(caption, heading(scaleMs), body);
  return table;
}

function heading(scaleMs) {
  const head = make("thead", "");
  const row = make("tr", "");
  row.append(headed("Stage", true), axis(scaleMs), headed("ms"), headed("budget"));
  head.append(row);
  return head;
}

function headed(title, hidden = false) {
  const cell = make("th", "");
  cell.scope = "col";
  cell.append(make("span", hidden ? "visually-hidden" : "", title));
  return cell;
}

function axis(scaleMs) {
  const cell = make("th", "ticks");
  cell.scope = "col";
  for (const ms of ticks(scaleMs)) {
    const tick = make("span", "", String(ms));
    tick.style.left = percent(ms / scaleMs);
    cell.append(tick);
  }
  return cell;
}

// The budget, and round figures that leave it and one another room: on a phone, a label takes a fifth of the axis.
function ticks(scaleMs) {
  const step = STEPS_MS.find((each) => each >= ROOM * scaleMs) ?? STEPS_MS.at(-1);
  const shown = [BUDGET_MS];
  for (let ms = 0; ms <= scaleMs * (1 - ROOM / 2); ms += step) {
    if (shown.every((other) => Math.abs(other - ms) >= ROOM * scaleMs)) shown.push(ms);
  }
  return shown.sort((one, other) => one - other);
}

function stageRow(stage, scaleMs) {
  const row = make("tr", "");
  const name = make("th", "", stage.words);
  name.scope = "row";
  name.title = stage.tells;
  const track = make("td", "track");
  const bar = make("i", "");
  bar.dataset.stage = stage.name;
  bar.style.left = percent(stage.startMs / scaleMs);
  bar.style.width = percent(Math.max(0, stage.ms) / scaleMs);
  track.append(bar, budgetLine(scaleMs));
  const took = make("td", "took", figure(stage.ms));
  const target = make("td", "target", stage.target ? `${stage.target[0]}–${stage.target[1]}` : "");
  if (stage.target && stage.ms > stage.target[1]) {
    row.className = "over";
    took.append(make("span", "visually-hidden", " over budget"));
  }
  row.append(name, track, took, target);
  return row;
}

function notes(latency) {
  const said = [];
  if (latency.filler_ms != null) said.push(`Filler heard after ${Math.round(latency.filler_ms)} ms.`);
  if (latency.prefetch === "hit") said.push("The tool’s result was fetched before it was asked for.");
  if (latency.prefetch === "miss") said.push("No prefetched result fitted.");
  return make("p", "turn-notes", said.join(" "));
}

function budgetLine(scaleMs) {
  const line = make("b", "budget-line");
  line.style.left = percent(BUDGET_MS / scaleMs);
  return line;
}

function figure(ms) {
  return ms >= 9.95 ? String(Math.round(ms)) : ms.toFixed(1);
}

function percent(share) {
  return `${(100 * share).toFixed(2)}%`;
}
