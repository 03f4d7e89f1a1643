// One call: microphone, loudspeaker and session joined. Tells what happens through its events:
// state (listening, hearing, thinking, speaking), said, heard, turn, trouble, end.

import { Fault } from "/page/faults.js";
import { Microphone, RATE_HZ } from "/page/microphone.js";
import { Session } from "/page/session.js";
import { Speaker } from "/page/speaker.js";
import { TurnClock } from "/page/turn-clock.js";

const WORDLESS_AFTER_MS = 400;

export class Call extends EventTarget {
  /** Places a call with the token that `permit()` resolves to. Throws a Fault. */
  static async place(permit) {
    // First of all, while the browser still takes it for the answer to a click: audio may not start otherwise.
    const context = await audioContext();
    try {
      const speaker = await Speaker.open(context);
      const session = await Session.open(await permit());
      return new Call(context, speaker, session);
    } catch (fault) {
      context.close();
      throw fault;
    }
  }

  constructor(context, speaker, session) {
    super();
    Object.assign(this, { context, speaker, session });
    this.clock = new TurnClock(RATE_HZ);
    this.microphone = null;
    this.closed = false;
    this.level = 0;
    this.state = "listening";
    this.latencies = new Map();
    this.itemsOf = new Map();
    this.received = new Map();
    this.pending = new Set();
    this.responding = false;
    this.listenToSession();
    this.listenToSpeaker();
  }

  /** Opens the microphone. Throws a Fault; the call goes on without it. */
  async openMicrophone() {
    const microphone = await Microphone.open(this.context, (frame) => this.sendFrame(frame)).catch((error) => {
      throw error instanceof Fault ? error : new Fault("microphone", error.message);
    });
    if (this.closed) {
      microphone.close();
      return;
    }
    this.microphone = microphone;
    microphone.onLost(() => this.tell("trouble", new Fault("microphone-lost")));
  }

  get muted() {
    return this.microphone?.muted ?? false;
  }

  set muted(muted) {
    if (this.microphone) this.microphone.muted = muted;
  }

  /** Asks in writing; interrupts an answer that is being spoken. */
  async type(text) {
    await this.interrupt();
    if (this.responding) this.session.send({ type: "response.cancel" });
    this.tell("heard", { item: `typed-${crypto.randomUUID()}`, text, done: true });
    this.clock.typed();
    this.session.ask(text);
    this.become("thinking");
  }

  end() {
    this.session.close();
    this.close(null);
  }

  close(fault) {
    if (this.closed) return;
    this.closed = true;
    this.microphone?.close();
    this.speaker.close();
    this.context.close();
    this.tell("end", fault);
  }

  sendFrame(frame) {
    this.level = frame.level;
    // The frame's buffer stays ours: a socket copies what it sends.
    this.session.sendAudio(frame.pcm);
    this.clock.sent(frame);
  }

  // Falls silent at once and tells the server how much of the answer was heard.
  async interrupt() {
    if (!this.speaker.playing) return;
    const { item, playedMs } = await this.speaker.stop();
    if (!item) return;
    this.session.send({ type: "conversation.item.truncate", item_id: item, content_index: 0, audio_end_ms: playedMs });
    this.session.send({ type: "conversation.item.retrieve", item_id: item });
    this.tell("cut", { item, share: Math.min(1, playedMs / (this.received.get(item) || 1)) });
  }

  listenToSession() {
    const on = (name, react) => this.session.addEventListener(name, ({ detail }) => react(detail));
    on("end", (fault) => this.close(fault));
    on("input_audio_buffer.speech_started", ({ item_id }) => {
      this.interrupt();
      this.become("hearing");
      this.tell("heard", { item: item_id, text: "", done: false });
    });
    on("input_audio_buffer.speech_stopped", () => this.become("thinking"));
    // A turn without words is given no item, and no answer.
    on("conversation.item.added", ({ item }) => this.pending.delete(item.id));
    on("input_audio_buffer.speech_stopped", ({ item_id }) => {
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
    on("audio", ({ item, pcm }) => this.hearAnswer(item, pcm));
    on("response.done", ({ response }) => this.responseDone(response));
    on("repartee.turn.latency", (latency) => {
      this.latencies.set(latency.item_id ?? this.itemsOf.get(latency.response_id), latency);
      this.tellTurns();
    });
    on("error", ({ error }) => this.tell("trouble", new Fault("server", error?.message ?? "")));
  }

  listenToSpeaker() {
    this.speaker.addEventListener("started", ({ detail: { item, at } }) => {
      this.clock.heard(item, at);
      this.become("speaking");
      this.tellTurns();
    });
    this.speaker.addEventListener("drained", () => {
      if (this.state === "speaking" && !this.responding) this.become("listening");
    });
  }

  forgetIfWordless(item) {
    if (!this.pending.delete(item)) return;
    this.tell("unheard", { item });
    if (this.state === "thinking" && !this.responding) this.become("listening");
  }

  hearAnswer(item, pcm) {
    this.clock.received(item);
    this.received.set(item, (this.received.get(item) ?? 0) + (pcm.byteLength * 1000) / 2 / RATE_HZ);
    this.speaker.play(item, pcm);
  }

  responseDone(response) {
    this.responding = false;
    if (response.status === "failed") {
      this.tell("trouble", new Fault("server", response.status_details?.error?.message ?? ""));
    }
    if (!this.speaker.playing && this.state !== "hearing") this.become("listening");
  }

  // A turn appears once the server has traced it and its answer has been heard here.
  tellTurns() {
    for (const [item, latency] of this.latencies) {
      const stages = this.clock.stages(item, latency.stages_ms ?? {});
      if (!stages) continue;
      this.latencies.delete(item);
      this.tell("turn", { item, latency, stages });
    }
  }

  become(state) {
    this.state = state;
    this.tell("state", state);
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

// At the session's rate where the browser allows it: nothing has to be resampled then.
async function audioContext() {
  let context;
  try {
    context = new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
  } catch {
    context = new AudioContext({ latencyHint: "interactive" });
  }
  try {
    await context.resume();
  } catch (error) {
    throw new Fault("audio", error.message);
  }
  if (!context.audioWorklet) throw new Fault("insecure");
  return context;
}
