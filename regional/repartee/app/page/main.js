// The page: joins the call to its views.

import { token } from "/page/access.js";
import { AnsweringView } from "/page/answering-view.js";
import { offered, shortName } from "/page/answering.js";
import { Call } from "/page/call.js";
import { ControlsView } from "/page/controls-view.js";
import { EventsView } from "/page/events-view.js";
import { Fault } from "/page/faults.js";
import { askForKey } from "/page/key-view.js";
import { LatencyView } from "/page/latency-view.js";
import { LineView } from "/page/line-view.js";
import { download, make } from "/page/make.js";
import { NoticeView } from "/page/notice-view.js";
import { watchOtherTabs } from "/page/other-tabs.js";
import { SetupView } from "/page/setup-view.js";
import { TabsView } from "/page/tabs-view.js";
import { TranscriptView } from "/page/transcript-view.js";

const QUALITY_EVERY_MS = 1000;
const SPEAKS = { hearing: "you", speaking: "agent" };

const find = (id) => document.getElementById(id);
const controls = new ControlsView(find);
const transcript = new TranscriptView(find("transcript"));
const latency = new LatencyView(find);
const answering = new AnsweringView(find);
const line = new LineView(find);
new TabsView(find("tabs"));
const events = new EventsView(find);
const setup = new SetupView(find, changed);
const notice = new NoticeView(find, {
  start: () => start(),
  key: () => start(),
  microphone: () => listen(),
  resume: () => call?.resume(),
});
const announceCall = watchOtherTabs(
  () => call !== null,
  () => notice.show(new Fault("another-tab")),
);

let call = null;
let placing = null;
let described = null;

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
    const permit = (settings) => token((reason) => askForKey(find, reason), settings);
    call = await Call.place(permit, setup.metadata);
  } catch (error) {
    controls.show("idle");
    notice.show(error instanceof Fault ? error : new Fault("audio", error.message));
    return null;
  }
  const placed = call;
  events.clear();
  line.show(placed.line);
  follow(placed);
  announceCall();
  // Not waited for: the browser may be asking for permission, and one can type meanwhile.
  listen();
  placed.line.useSink(setup.sink).catch(() => {});
  refresh();
  drawLevel();
  return placed;
}

// Opens the chosen microphone in the call under way.
async function listen() {
  const placed = call;
  if (!placed) return;
  try {
    await placed.openMicrophone(setup.microphone);
  } catch (fault) {
    if (call === placed) notice.show(fault);
  }
  refresh();
}

function changed({ microphone, sink, metadata }) {
  if (microphone !== undefined) listen();
  if (sink !== undefined) call?.line.useSink(sink).catch(() => {});
  if (metadata !== undefined) call?.inform(metadata);
}

function follow(placed) {
  const on = (name, react) => placed.addEventListener(name, ({ detail }) => react(detail));
  on("state", refresh);
  on("heard", (words) => {
    find("invitation").hidden = true;
    transcript.heard(words);
    refresh();
  });
  on("unheard", (words) => transcript.unheard(words));
  on("said", (words) => {
    find("invitation").hidden = true;
    transcript.said(words);
    refresh();
  });
  on("cut", (cut) => transcript.cut(cut));
  on("tool", (tool) => transcript.tool(tool));
  on("log", (entry) => events.add(entry));
  on("answering", (who) => {
    described = who;
    answered(shortName(who.agent.name), who.suggestions);
    answering.show(who, shortName(who.agent.name));
  });
  on("turn", (turn) => {
    const { totalMs, verdict } = latency.add(turn);
    transcript.badge(turn.item, totalMs, verdict, () => {
      find("latency-tab").click();
      latency.open(turn.item);
    });
    answering.served(turn.latency.providers);
  });
  on("trouble", (fault) => notice.show(fault));
  const watching = setInterval(async () => line.update(await placed.line.quality()), QUALITY_EVERY_MS);
  on("end", (fault) => {
    clearInterval(watching);
    call = null;
    controls.show("idle");
    controls.level(0);
    transcript.speaking(null);
    find("talk").querySelector("span").textContent = "Call again";
    if (fault) notice.show(fault);
  });
}

function refresh() {
  find("save-transcript").hidden = transcript.empty;
  if (!call) return;
  controls.show(call.state, { muted: call.muted, deaf: !call.microphone });
  transcript.speaking(SPEAKS[call.state] ?? null);
}

function drawLevel() {
  if (!call) return;
  controls.level(call.loudness);
  requestAnimationFrame(drawLevel);
}

async function ask(text) {
  const placed = await start();
  await placed?.type(text);
}

// Who answers, by name, and what to say to them.
function answered(name, suggestions) {
  transcript.agent = name || "Agent";
  find("answers").textContent = name;
  find("answers").parentElement.hidden = !name;
  find("suggestions").hidden = suggestions.length === 0;
  find("suggestion-list").replaceChildren(
    ...suggestions.map((question) => {
      const chip = make("button", "chip", question);
      chip.type = "button";
      chip.addEventListener("click", () => ask(question));
      const entry = make("li", "");
      entry.append(chip);
      return entry;
    }),
  );
}

function saveTranscript() {
  const where = described ? `Call ${described.call_id} with ${shortName(described.agent.name)}, ${described.region}\n\n` : "";
  download("transcript.txt", where + transcript.asText());
}

find("talk").addEventListener("click", start);
find("end").addEventListener("click", () => call?.end());
find("save-transcript").addEventListener("click", saveTranscript);
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
offered()
  .then(({ name, suggestions }) => answered(shortName(name), suggestions))
  .catch(() => answered("", []));
