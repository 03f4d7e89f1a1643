// A call over WebRTC: Opus on an audio track each way, events on the data channel `oai-events`.

import { Fault, faultOfEnd, faultOfResponse } from "/page/faults.js";
import { whyGone } from "/page/access.js";
import { Line } from "/page/line.js";
import { PeerMeter } from "/page/peer-meter.js";

const CALLS = "/v1/realtime/calls";
const ICE_SERVERS = "/v1/realtime/ice_servers";
const CONNECT_MS = 4000;
const ASK_MS = 1500;
const PATIENCE_MS = 1500;
const SILENT_MS = 4000;
/** So long the worker holds a call whose caller is away. */
const HELD_MS = 30_000;
const REFUSALS = [401, 403, 429];

/** There is no way to this server by WebRTC; `message` says why, and a WebSocket may do. */
export class NoPeer extends Error {}

export class PeerLine extends Line {
  /** Places a call with these settings of its session. Throws NoPeer, or a Fault that holds for a WebSocket too. */
  static async open(permit, context, settings) {
    if (!window.RTCPeerConnection) throw new NoPeer("this browser has no WebRTC");
    const { value: token } = await permit();
    const line = new PeerLine(await iceServers(token), permit, context);
    try {
      await line.connect(token, settings);
    } catch (error) {
      line.abandon(token);
      throw error;
    }
    return line;
  }

  constructor(servers, permit, context) {
    super();
    this.transport = "webrtc";
    this.permit = permit;
    this.name = null;
    this.itemsOf = new Map();
    this.sounding = null;
    this.closing = false;
    this.recovering = false;
    this.peer = new RTCPeerConnection({ iceServers: servers });
    this.sender = this.peer.addTransceiver("audio", { direction: "sendrecv" }).sender;
    this.channel = this.peer.createDataChannel("oai-events");
    this.player = new Audio();
    this.player.autoplay = true;
    this.meter = new PeerMeter(this.peer, this.sender, context);
    this.peer.ontrack = ({ track, streams }) => {
      const stream = streams[0] ?? new MediaStream([track]);
      this.player.srcObject = stream;
      this.meter.listen(stream);
      this.resume();
    };
    this.channel.onmessage = ({ data }) => this.receive(data);
    this.follow();
  }

  follow() {
    const on = (type, react) => this.addEventListener(type, ({ detail }) => react(detail));
    on("input_audio_buffer.speech_started", () => this.meter.asked(true));
    on("response.output_item.added", ({ response_id, item }) => {
      if (item.type === "message") this.itemsOf.set(response_id, item.id);
    });
    on("output_audio_buffer.started", ({ response_id }) => {
      this.sounding = this.itemsOf.get(response_id) ?? response_id;
      this.meter.answerStarts(this.sounding);
      this.tell("started", { item: this.sounding });
    });
    const silent = () => {
      this.sounding = null;
      this.tell("drained");
    };
    on("output_audio_buffer.stopped", silent);
    on("output_audio_buffer.cleared", silent);
    on("repartee.session.ended", ({ why, message }) => {
      this.ending = faultOfEnd(why, message);
    });
    // The history keeps what was heard of it.
    on("conversation.item.truncated", ({ item_id }) =>
      this.send({ type: "conversation.item.retrieve", item_id }));
  }

  get level() {
    return this.meter.level;
  }

  get playing() {
    return this.sounding !== null;
  }

  post(text) {
    if (this.channel.readyState !== "open") return false;
    this.channel.send(text);
    return true;
  }

  /** Sound goes on the track; frames are for the page's own meter. */
  take() {}

  useTrack(track) {
    return this.sender.replaceTrack(track);
  }

  async useSink(deviceId) {
    await this.player.setSinkId?.(deviceId);
  }

  async resume() {
    try {
      await this.player.play();
    } catch (error) {
      if (error.name === "NotAllowedError") this.tell("silenced");
    }
  }

  typed() {
    this.meter.asked(false);
  }

  /** Stops what is being said; the server knows how much was heard. */
  async interrupt() {
    if (this.playing) this.send({ type: "output_audio_buffer.clear" });
  }

  stages(item, latency) {
    return this.meter.stages(item, latency.stages_ms ?? {});
  }

  async quality() {
    const quality = await this.meter.quality();
    // The worker reports each second: one that has stopped is looked for before the browser's own checks give up.
    if (quality.reportedMsAgo > SILENT_MS) this.recover();
    return quality;
  }

  close() {
    this.closing = true;
    this.meter.close();
    this.player.srcObject = null;
    this.peer.close();
  }

  async connect(token, settings) {
    await this.offer(token, `${CALLS}?events=repartee`, { type: "realtime", ...settings });
    await this.opened();
    this.peer.onconnectionstatechange = () => this.watch();
    this.channel.onclose = () => this.gone();
  }

  async offer(token, path, session = null) {
    const peer = this.peer;
    await peer.setLocalDescription(await peer.createOffer());
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const body = new FormData();
    body.append("sdp", peer.localDescription.sdp);
    if (session) body.append("session", JSON.stringify(session));
    let response;
    try {
      response = await fetch(path, { method: "POST", headers, body });
    } catch {
      throw new NoPeer("the server did not answer the offer");
    }
    if (REFUSALS.includes(response.status)) throw await faultOfResponse(response);
    if (response.status !== 201) throw new NoPeer("this server offers none");
    this.name = response.headers.get("location")?.split("/").pop() ?? null;
    await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
  }

  // Neither UDP nor TCP may reach the worker: then nothing ever says so, and time has to.
  opened() {
    return new Promise((resolve, reject) => {
      const settle = (how, value) => {
        clearTimeout(timer);
        this.channel.onopen = this.peer.onconnectionstatechange = null;
        how(value);
      };
      const blocked = new NoPeer("this network lets none through");
      const timer = setTimeout(() => settle(reject, blocked), CONNECT_MS);
      this.channel.onopen = () => settle(resolve);
      this.peer.onconnectionstatechange = () => {
        if (this.peer.connectionState === "failed") settle(reject, blocked);
      };
      if (this.channel.readyState === "open") settle(resolve);
    });
  }

  // The call never came about: give its place back.
  abandon(token) {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    if (this.name) fetch(`${CALLS}/${this.name}/hangup`, { method: "POST", headers }).catch(() => {});
    this.close();
  }

  watch() {
    const state = this.peer.connectionState;
    if (state === "failed") this.recover();
    if (state === "disconnected") {
      // A train's tunnel ends by itself; checks go on meanwhile.
      setTimeout(() => {
        if (this.peer.connectionState === "disconnected") this.recover();
      }, PATIENCE_MS);
    }
  }

  /** Another network, or none: the call goes on from wherever the browser is now, while the worker holds it. */
  async recover() {
    if (this.recovering || this.closing) return;
    this.recovering = true;
    this.tell("away");
    try {
      await Promise.race([this.restart(), late(HELD_MS)]);
      this.tell("back");
    } catch {
      this.gone();
    }
    this.recovering = false;
  }

  async restart() {
    const { value: token } = await this.permit();
    this.peer.restartIce();
    await this.offer(token, `${CALLS}?events=repartee&call_id=${encodeURIComponent(this.name)}`);
    await this.connected();
  }

  connected() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(reject, CONNECT_MS);
      const look = () => {
        if (this.peer.connectionState !== "connected") return;
        clearTimeout(timer);
        this.peer.removeEventListener("connectionstatechange", look);
        resolve();
      };
      this.peer.addEventListener("connectionstatechange", look);
      look();
    });
  }

  async gone() {
    if (this.closing) return;
    this.closing = true;
    this.tell("end", this.ending === undefined ? await whyGone() : this.ending);
  }
}

function late(ms) {
  return new Promise((_, reject) => setTimeout(() => reject(new Error("too late")), ms));
}

// The TURN servers that this caller may use; most need none, so that nothing waits long for them.
async function iceServers(token) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let response;
  try {
    // A POST, as browsers send no Origin with a GET to their own server, and the token is for this one.
    response = await fetch(ICE_SERVERS, { method: "POST", headers, signal: AbortSignal.timeout(ASK_MS) });
  } catch {
    return [];
  }
  if (response.status === 501) throw new NoPeer("this server has none installed");
  if (response.status === 401) throw new Fault("key");
  if (!response.ok) return [];
  return (await response.json()).iceServers ?? [];
}
