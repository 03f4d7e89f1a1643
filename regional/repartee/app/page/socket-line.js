// A call over one WebSocket: JSON events both ways, audio as binary frames, played and timed here.

import { whyRefused } from "/page/access.js";
import { Fault, faultOfClose } from "/page/faults.js";
import { Line } from "/page/line.js";
import { RATE_HZ } from "/page/microphone.js";
import { Speaker } from "/page/speaker.js";
import { TurnClock } from "/page/turn-clock.js";

const PATH = "/v1/voice/session?audio=binary&events=repartee";
const MOST_UNSENT_BYTES = 200_000;

export class SocketLine extends Line {
  /** Opens a session; throws a Fault. `why`: the reason for which it is no WebRTC. */
  static async open(token, context, why) {
    if (!context.audioWorklet) throw new Fault("insecure-sound");
    const speaker = await Speaker.open(context);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const protocols = token ? ["realtime", `openai-insecure-api-key.${token}`] : ["realtime"];
    const socket = new WebSocket(`${scheme}//${location.host}${PATH}`, protocols);
    socket.binaryType = "arraybuffer";
    return new Promise((resolve, reject) => {
      socket.onopen = () => resolve(new SocketLine(socket, speaker, why));
      socket.onclose = async () => {
        speaker.close();
        reject(await whyRefused());
      };
    });
  }

  constructor(socket, speaker, why) {
    super();
    Object.assign(this, { socket, speaker, why });
    this.transport = "websocket";
    this.clock = new TurnClock(RATE_HZ);
    this.item = null;
    this.receivedMs = new Map();
    this.networkMs = null;
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.receive(data) : this.hear(data));
    socket.onclose = ({ code, reason }) => this.tell("end", faultOfClose(code, reason));
    this.addEventListener("input_audio_buffer.speech_started", () => this.interrupt());
    this.addEventListener("response.output_item.added", ({ detail: { item } }) => {
      // Binary audio belongs to the message that was announced last.
      if (item?.type === "message") this.item = item.id;
    });
    this.addEventListener("response.output_item.done", ({ detail: { item } }) => speaker.finish(item?.id));
    this.addEventListener("response.done", () => speaker.finish(this.item));
    speaker.addEventListener("started", ({ detail: { item, at } }) => {
      this.clock.heard(item, at);
      this.tell("started", { item });
    });
    speaker.addEventListener("drained", () => this.tell("drained"));
  }

  get level() {
    return this.speaker.level;
  }

  get playing() {
    return this.speaker.playing;
  }

  post(text) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(text);
    return true;
  }

  /** A frame of the microphone's. */
  take(frame) {
    // Where audio piles up unsent, the network does not keep up: newer words matter more.
    if (this.socket.readyState === WebSocket.OPEN && this.socket.bufferedAmount <= MOST_UNSENT_BYTES) {
      this.socket.send(frame.pcm);
    }
    this.clock.sent(frame);
  }

  useTrack() {}

  useSink(deviceId) {
    return this.speaker.useSink(deviceId);
  }

  resume() {}

  typed() {
    this.clock.typed();
  }

  /** Falls silent at once and tells the server how much of the answer was heard. */
  async interrupt() {
    if (!this.speaker.playing) return;
    const { item, playedMs } = await this.speaker.stop();
    if (!item) return;
    this.send({ type: "conversation.item.truncate", item_id: item, content_index: 0, audio_end_ms: playedMs });
    this.send({ type: "conversation.item.retrieve", item_id: item });
    this.tell("cut", { item, share: Math.min(1, playedMs / (this.receivedMs.get(item) || 1)) });
  }

  /** All of a turn's stages in ms; null until its answer has been heard. */
  async stages(item, latency) {
    const stages = this.clock.stages(item, latency.stages_ms ?? {});
    if (stages?.network !== undefined) this.networkMs = stages.network;
    return stages;
  }

  /** How good the line is. */
  async quality() {
    return { roundTripMs: this.networkMs, behindMs: this.speaker.lateMs };
  }

  close() {
    this.socket.onmessage = null;
    this.socket.onclose = null;
    this.socket.close(1000);
    this.speaker.close();
  }

  hear(pcm) {
    if (!this.item) return;
    this.clock.received(this.item);
    const ms = (pcm.byteLength * 1000) / 2 / RATE_HZ;
    this.receivedMs.set(this.item, (this.receivedMs.get(this.item) ?? 0) + ms);
    this.speaker.play(this.item, pcm);
  }
}
