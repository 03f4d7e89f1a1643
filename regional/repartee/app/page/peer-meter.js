// What the browser knows of a peer connection (getStats, and the worker's RTCP reports in it): how good the line is, and
// what capture, network and playback add to a turn.

const WINDOW = 6;
const FIRST_SOUND_MS = 400;
/** Opus hears so much further before it encodes (RFC 6716, 4.1: 2.5 ms, and 4 ms of SILK's or of resampling). */
const LOOK_AHEAD_MS = 6.5;

export class PeerMeter {
  constructor(peer, sender, context) {
    Object.assign(this, { peer, sender, context });
    this.samples = [];
    this.answers = new Map();
    this.spoken = true;
    this.analyser = null;
    this.buffer = null;
  }

  /** Measures how loud this stream is. */
  listen(stream) {
    this.source = this.context.createMediaStreamSource(stream);
    this.analyser = new AnalyserNode(this.context, { fftSize: 512 });
    this.buffer = new Float32Array(this.analyser.fftSize);
    this.source.connect(this.analyser);
  }

  get level() {
    if (!this.analyser) return 0;
    this.analyser.getFloatTimeDomainData(this.buffer);
    return Math.sqrt(this.buffer.reduce((sum, sample) => sum + sample * sample, 0) / this.buffer.length);
  }

  close() {
    this.source?.disconnect();
  }

  /** The question is spoken, or typed: then nothing is captured. */
  asked(spoken) {
    this.spoken = spoken;
  }

  /** The first of an answer's sound is being sent: its wait in the jitter buffer is measured from here. */
  answerStarts(item) {
    const buffered = this.read().then(async (before) => {
      await new Promise((resolve) => setTimeout(resolve, FIRST_SOUND_MS));
      return bufferedMs(before, await this.read());
    });
    this.answers.set(item, { spoken: this.spoken, buffered });
  }

  /** All of a turn's stages in ms, the server's and these; null until its answer has been heard for a moment. */
  async stages(item, serverStages) {
    const answer = this.answers.get(item);
    if (!answer) return null;
    const [bufferMs, now] = [await answer.buffered, await this.read()];
    return {
      ...serverStages,
      ...(answer.spoken ? { capture: captureMs(this.sender.track, now) } : {}),
      network: roundTripMs(now) ?? 0,
      playback: (bufferMs ?? 0) + this.deviceMs(now),
    };
  }

  // From the jitter buffer to the ear; a browser that does not tell has at least the latency of its sound system.
  deviceMs({ playout }) {
    if (playout?.totalSamplesCount) return (1000 * playout.totalPlayoutDelay) / playout.totalSamplesCount;
    const { outputLatency = 0, baseLatency = 0 } = this.context;
    return 1000 * Math.max(outputLatency, baseLatency);
  }

  /** How good the line is, over the last seconds. Loss and jitter of the worse direction. */
  async quality() {
    const now = await this.read();
    this.samples.push(now);
    if (this.samples.length > WINDOW) this.samples.shift();
    const before = this.samples[0];
    const down = lostShare(before.inbound, now.inbound);
    const up = now.remote?.fractionLost ?? 0;
    const jitters = [now.inbound?.packetsReceived ? now.inbound.jitter : 0, now.remote?.jitter ?? 0];
    return {
      roundTripMs: roundTripMs(now),
      lossShare: Math.max(down, up),
      lossDown: down,
      lossUp: up,
      jitterMs: 1000 * Math.max(...jitters),
      protocol: now.protocol,
      reportedMsAgo: now.remote ? performance.timeOrigin + performance.now() - now.remote.timestamp : 0,
    };
  }

  async read() {
    const all = await this.peer.getStats();
    const found = { inbound: null, outbound: null, remote: null, playout: null, pair: null, protocol: null };
    let selected = null;
    for (const one of all.values()) {
      if (one.type === "inbound-rtp" && one.kind === "audio") found.inbound = one;
      if (one.type === "outbound-rtp" && one.kind === "audio") found.outbound = one;
      if (one.type === "remote-inbound-rtp") found.remote = one;
      if (one.type === "media-playout") found.playout = one;
      if (one.type === "transport") selected = one.selectedCandidatePairId;
    }
    for (const one of all.values()) {
      const chosen = selected ? one.id === selected : one.type === "candidate-pair" && one.nominated;
      if (chosen) found.pair = one;
    }
    found.protocol = found.pair ? (all.get(found.pair.remoteCandidateId)?.protocol ?? null) : null;
    return found;
  }
}

// By the worker's RTCP reports, which come each second; before the first, by the connection's own checks.
function roundTripMs({ remote, pair }) {
  const seconds = remote?.roundTripTime ?? pair?.currentRoundTripTime;
  return seconds === undefined ? null : 1000 * seconds;
}

// From the microphone to the network: the device, the encoder, and the wait to be sent.
function captureMs(track, { outbound }) {
  const deviceMs = track?.stats?.averageLatency ?? 1000 * (track?.getSettings().latency ?? 0);
  const waitMs = outbound?.packetsSent ? (1000 * (outbound.totalPacketSendDelay ?? 0)) / outbound.packetsSent : 0;
  return deviceMs + LOOK_AHEAD_MS + waitMs;
}

function bufferedMs({ inbound: before }, { inbound: after }) {
  if (!after) return null;
  const emitted = after.jitterBufferEmittedCount - (before?.jitterBufferEmittedCount ?? 0);
  const waited = after.jitterBufferDelay - (before?.jitterBufferDelay ?? 0);
  return emitted > 0 ? (1000 * waited) / emitted : null;
}

function lostShare(before, after) {
  if (!before || !after) return 0;
  const lost = after.packetsLost - before.packetsLost;
  const came = after.packetsReceived - before.packetsReceived;
  return lost > 0 ? lost / (lost + came) : 0;
}
