// One call: microphone, loudspeaker and line joined. Tells what happens through its events: state (listening, hearing,
// thinking, speaking, away), said, heard, unheard, cut, tool, turn, answering, log, trouble, end.

import { connect } from "/page/connecting.js";
import { Fault } from "/page/faults.js";
import { Microphone } from "/page/microphone.js";

const WORDLESS_AFTER_MS = 400;

export class Call extends EventTarget {
  /** Places a call with the tokens that `permit(settings)` resolves to. The agent knows from the start what `metadata` says
   *  of the caller. Throws a Fault. */
  static async place(permit, metadata) {
    // First of all, while the browser still takes it for the answer to a click: audio may not start otherwise.
    const context = await audioContext();
    try {
      return new Call(context, await connect(permit, context, metadata));
    } catch (fault) {
      context.close();
      throw fault;
    }
  }

  constructor(context, line) {
    super();
    Object.assign(this, { context, line });
    this.microphone = null;
    this.closed = false;
    this.level = 0;
    this.typings = 0;
    this.state = "listening";
    this.began = performance.now();
    this.latencies = new Map();
    this.itemsOf = new Map();
    this.tools = new Map();
    this.pending = new Set();
    this.responding = false;
    this.listenToLine();
    this.listenToTurns();
    context.onstatechange = () => {
      if (!this.closed && context.state !== "running") this.tell("trouble", new Fault("silenced"));
    };
  }

  /** Opens a microphone, this one if it is there. Throws a Fault; the call goes on without it. */
  async openMicrophone(deviceId = "") {
    const microphone = await Microphone.open(this.context, deviceId, (frame) => this.take(frame)).catch((error) => {
      throw error instanceof Fault ? error : new Fault("microphone", error.message);
    });
    if (this.closed) {
      microphone.close();
      return;
    }
    microphone.muted = this.muted;
    this.microphone?.close();
    this.microphone = microphone;
    await this.line.useTrack(microphone.track);
    microphone.onLost(() => this.replaceMicrophone(microphone));
  }

  // What was unplugged may have left another one.
  async replaceMicrophone(lost) {
    if (this.microphone !== lost) return;
    this.level = 0;
    try {
      await this.openMicrophone();
      this.tell("trouble", new Fault("microphone-replaced", this.microphone.track.label));
    } catch {
      this.microphone?.close();
      this.microphone = null;
      this.tell("trouble", new Fault("microphone-lost"));
    }
    this.tell("state", this.state);
  }

  get muted() {
    return this.microphone?.muted ?? false;
  }

  set muted(muted) {
    if (this.microphone) this.microphone.muted = muted;
  }

  /** How loud whoever speaks is, from 0 to 1. */
  get loudness() {
    return this.state === "speaking" ? this.line.level : this.level;
  }

  /** Plays on, after the browser had stopped it. */
  resume() {
    this.context.resume();
    this.line.resume();
  }

  /** Asks in writing; interrupts an answer that is being spoken. */
  async type(text) {
    const playing = this.line.playing;
    await this.line.interrupt();
    if (this.responding && !(playing && this.line.transport === "webrtc")) this.line.send({ type: "response.cancel" });
    this.tell("heard", { item: `typed-${(this.typings += 1)}`, text, done: true });
    this.line.typed();
    this.line.ask(text);
    this.become("thinking");
  }

  /** Tells the agent about the caller, in mid-call. */
  inform(metadata) {
    this.line.inform(metadata);
  }

  end() {
    this.close(null);
  }

  close(fault) {
    if (this.closed) return;
    this.closed = true;
    this.line.close();
    this.microphone?.close();
    this.context.close();
    this.tell("end", fault);
  }

  take(frame) {
    this.level = frame.level;
    this.line.take(frame);
  }

  listenToLine() {
    const on = (name, react) => this.line.addEventListener(name, ({ detail }) => react(detail));
    on("end", (fault) => this.close(fault));
    on("away", () => this.become("away"));
    on("back", () => this.become("listening"));
    on("silenced", () => this.tell("trouble", new Fault("silenced")));
    on("cut", (cut) => this.tell("cut", cut));
    on("started", () => {
      this.become("speaking");
      this.tellTurns();
    });
    on("drained", () => {
      if (this.state === "speaking" && !this.responding) this.become("listening");
    });
    for (const way of ["sent", "received"]) {
      on(way, (event) => this.tell("log", { way, event, atMs: performance.now() - this.began }));
    }
    on("repartee.session.created", (answering) => this.tell("answering", answering));
    on("error", ({ error }) => this.tell("trouble", new Fault("server", error?.message ?? "")));
  }

  listenToTurns() {
    const on = (name, react) => this.line.addEventListener(name, ({ detail }) => react(detail));
    on("input_audio_buffer.speech_started", ({ item_id }) => {
      this.become("hearing");
      this.tell("heard", { item: item_id, text: "", done: false });
    });
    // A turn without words is given no item, and no answer.
    on("conversation.item.added", ({ item }) => this.pending.delete(item.id));
    on("input_audio_buffer.speech_stopped", ({ item_id }) => {
      this.become("thinking");
      this.pending.add(item_id);
      setTimeout(() => this.forgetIfWordless(item_id), WORDLESS_AFTER_MS);
    });
    on("repartee.transcript.partial", ({ item_id, text }) => this.tell("heard", { item: item_id, text, done: false }));
    on("conversation.item.input_audio_transcription.delta", ({ item_id, delta }) =>
      this.tell("heard", { item: item_id, delta, done: false }));
    on("conversation.item.input_audio_transcription.completed", ({ item_id, transcript }) =>
      this.tell("heard", { item: item_id, text: transcript, done: true }));
    on("response.created", () => {
      this.responding = true;
      if (this.state === "listening") this.become("thinking");
    });
    on("response.output_item.added", ({ response_id, item }) => {
      if (item.type === "message") this.itemsOf.set(response_id, item.id);
    });
    on("response.output_audio_transcript.delta", ({ item_id, delta }) => this.tell("said", { item: item_id, delta }));
    on("response.output_text.delta", ({ item_id, delta }) => this.tell("said", { item: item_id, delta }));
    // After an interruption: what the history keeps of the answer is what was heard.
    on("conversation.item.retrieved", ({ item }) =>
      this.tell("cut", { item: item.id, heard: (item.content ?? []).map((part) => part.transcript ?? "").join("") }));
    on("response.done", ({ response }) => this.responseDone(response));
    on("repartee.tool.called", (called) => this.toolCalled(called));
    on("repartee.tool.answered", (answered) => this.toolAnswered(answered));
    on("repartee.turn.latency", (latency) => {
      this.latencies.set(latency.item_id ?? this.itemsOf.get(latency.response_id), latency);
      this.tellTurns();
    });
  }

  toolCalled({ call_id, name, arguments: given }) {
    if (this.tools.has(call_id)) return;
    this.tools.set(call_id, performance.now());
    this.tell("tool", { call: call_id, name, given });
  }

  toolAnswered({ call_id, output }) {
    const askedAt = this.tools.get(call_id);
    this.tell("tool", { call: call_id, output, tookMs: askedAt === undefined ? null : performance.now() - askedAt });
  }

  forgetIfWordless(item) {
    if (!this.pending.delete(item)) return;
    this.tell("unheard", { item });
    if (this.state === "thinking" && !this.responding) this.become("listening");
  }

  responseDone(response) {
    this.responding = false;
    if (response.status === "failed") {
      this.tell("trouble", new Fault("server", response.status_details?.error?.message ?? ""));
    }
    if (!this.line.playing && this.state !== "hearing") this.become("listening");
  }

  // A turn appears once the server has traced it and its answer has been heard here.
  async tellTurns() {
    for (const [item, latency] of this.latencies) {
      const stages = await this.line.stages(item, latency);
      if (!stages || !this.latencies.delete(item)) continue;
      this.report(latency, stages);
      this.tell("turn", { item, latency, stages });
    }
  }

  // What this side has added belongs in the call's record.
  report({ turn_id }, { capture = 0, network = 0, playback = 0 }) {
    if (turn_id) this.line.send({ type: "repartee.turn.heard", turn_id, stages_ms: { capture, network, playback } });
  }

  become(state) {
    this.state = state;
    this.tell("state", state);
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

async function audioContext() {
  const context = new AudioContext({ latencyHint: "interactive" });
  try {
    // Where the browser wants another click first, it waits for one without end.
    await Promise.race([context.resume(), new Promise((resolve) => setTimeout(resolve, 1000))]);
  } catch (error) {
    throw new Fault("audio", error.message);
  }
  return context;
}
