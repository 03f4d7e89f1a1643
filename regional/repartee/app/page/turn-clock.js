// Times a turn as the caller feels it: from the last sample of speech at the microphone to the first at the ear.

import { speechEnd } from "/page/speech-end.js";

const KEPT_MS = 3000;

export class TurnClock {
  constructor(rateHz) {
    this.rateHz = rateHz;
    this.frames = [];
    this.keptMs = 0;
    this.typedAt = null;
    this.asked = { capturedAt: null, sentAt: null };
    this.answers = new Map();
  }

  /** A frame was sent. */
  sent({ pcm, capturedAt }) {
    const samples = new Int16Array(pcm);
    this.frames.push({ samples, capturedAt, sentAt: performance.now() });
    this.keptMs += (samples.length * 1000) / this.rateHz;
    while (this.keptMs > KEPT_MS) this.keptMs -= (this.frames.shift().samples.length * 1000) / this.rateHz;
  }

  /** A question was typed, not spoken. */
  typed() {
    this.typedAt = performance.now();
  }

  /** Audio of an item arrived; the first counts. */
  received(item) {
    if (this.answers.has(item)) return;
    const asked = this.typedAt === null ? this.spoken() : { capturedAt: this.typedAt, sentAt: this.typedAt };
    // What follows a filler answers the question that the filler did: no speech has come since.
    if (asked.sentAt === null) Object.assign(asked, this.asked);
    this.asked = asked;
    this.typedAt = null;
    this.frames = [];
    this.keptMs = 0;
    this.answers.set(item, { ...asked, receivedAt: performance.now(), heardAt: null });
  }

  /** An item was first heard at this performance time. */
  heard(item, at) {
    const answer = this.answers.get(item);
    if (answer) answer.heardAt = at;
  }

  /** All of the turn's stages in ms, the server's and the page's own; null until the answer has been heard. */
  stages(item, serverStages) {
    const answer = this.answers.get(item);
    if (!answer || answer.heardAt === null) return null;
    const stages = { ...serverStages };
    // An answer that comes while a filler is heard waits for its end: the server has counted that already.
    const waitedMs = serverStages.filler ?? 0;
    const server = Object.values(serverStages).reduce((sum, ms) => sum + ms, 0);
    if (answer.sentAt !== null) {
      const beforeLeadIn = server - (serverStages.lead_in ?? 0) - waitedMs;
      const networkMs = answer.receivedAt - answer.sentAt - beforeLeadIn;
      stages.capture = Math.max(0, answer.sentAt - answer.capturedAt);
      stages.network = Math.max(0, networkMs);
      // Both ends saw the same answer; where they differ, it is about where the question ended.
      if (networkMs < 0 && stages.end_of_turn) stages.end_of_turn = Math.max(0, stages.end_of_turn + networkMs);
    }
    stages.playback = Math.max(0, answer.heardAt - answer.receivedAt - waitedMs);
    return stages;
  }

  // When the last sample of speech was taken by the microphone, and when it was sent.
  spoken() {
    const all = new Int16Array(this.frames.reduce((sum, frame) => sum + frame.samples.length, 0));
    let at = 0;
    for (const frame of this.frames) {
      all.set(frame.samples, at);
      at += frame.samples.length;
    }
    let end = speechEnd(all, this.rateHz);
    if (end === null) return { capturedAt: null, sentAt: null };
    for (const { samples, capturedAt, sentAt } of this.frames) {
      if (end <= samples.length) {
        const laterMs = ((samples.length - end) * 1000) / this.rateHz;
        return { capturedAt: capturedAt - laterMs, sentAt: sentAt - laterMs };
      }
      end -= samples.length;
    }
    return { capturedAt: null, sentAt: null };
  }
}
