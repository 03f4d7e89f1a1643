// The page: joins the call to its views.

import { token } from "/page/access.js";
import { verdictOn } from "/page/budget.js";
import { Call } from "/page/call.js";
import { ControlsView } from "/page/controls-view.js";
import { Fault } from "/page/faults.js";
import { askForKey } from "/page/key-view.js";
import { LatencyView } from "/page/latency-view.js";
import { NoticeView } from "/page/notice-view.js";
import { TranscriptView } from "/page/transcript-view.js";

const find = (id) => document.getElementById(id);
const controls = new ControlsView(find);
const transcript = new TranscriptView(find("transcript"));
const latency = new LatencyView(find);
const notice = new NoticeView(find, { start: () => start(), key: () => start() });

let call = null;
let placing = null;

/** Places a call, unless one is under way; resolves to it, or to null when that failed. */
function start() {
  placing ??= place().finally(() => {
    placing = null;
  });
  return placing;
}

async function place() {
  if (call) return call;
  notice.hide();
  controls.show("connecting");
  try {
    call = await Call.place(() => token((reason) => askForKey(find, reason)));
  } catch (error) {
    controls.show("idle");
    notice.show(error instanceof Fault ? error : new Fault("audio", error.message));
    return null;
  }
  const placed = call;
  follow(placed);
  // Not waited for: the browser may be asking for permission, and one can type meanwhile.
  placed
    .openMicrophone()
    .catch((fault) => {
      if (call === placed) notice.show(fault);
    })
    .finally(refresh);
  refresh();
  drawLevel();
  return placed;
}

function follow(placed) {
  const on = (name, react) => placed.addEventListener(name, ({ detail }) => react(detail));
  on("state", refresh);
  on("heard", (words) => {
    find("invitation").hidden = true;
    transcript.heard(words);
  });
  on("unheard", (words) => transcript.unheard(words));
  on("said", (words) => {
    find("invitation").hidden = true;
    transcript.said(words);
  });
  on("cut", (cut) => transcript.cut(cut));
  on("turn", (turn) => {
    const totalMs = latency.add(turn);
    transcript.badge(turn.item, totalMs, verdictOn(totalMs), () => latency.open(turn.item));
  });
  on("trouble", (fault) => notice.show(fault));
  on("end", (fault) => {
    call = null;
    controls.show("idle");
    controls.level(0);
    find("talk").querySelector("span").textContent = "Call again";
    if (fault) notice.show(fault);
  });
}

function refresh() {
  if (call) controls.show(call.state, { muted: call.muted, deaf: !call.microphone });
}

function drawLevel() {
  if (!call) return;
  controls.level(call.state === "speaking" ? call.speaker.level : call.level);
  requestAnimationFrame(drawLevel);
}

async function ask(text) {
  const placed = await start();
  await placed?.type(text);
}

async function suggest() {
  const questions = await (await fetch("/page/questions.json")).json();
  for (const question of questions) {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.className = "chip";
    chip.textContent = question;
    chip.addEventListener("click", () => ask(question));
    const entry = document.createElement("li");
    entry.append(chip);
    find("suggestion-list").append(entry);
  }
}

find("talk").addEventListener("click", start);
find("end").addEventListener("click", () => call?.end());
find("mute").addEventListener("click", () => {
  if (!call) return;
  call.muted = !call.muted;
  refresh();
});
find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find("question").value.trim();
  find("question").value = "";
  if (text) ask(text);
});
controls.show("idle");
suggest().catch(() => {
  find("suggestions").hidden = true;
});
