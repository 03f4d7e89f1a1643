// The loudspeaker: plays the agent's audio, stops at once, and tells when each item was first heard.

import { RATE_HZ } from "/page/microphone.js";

export const BUFFER_MS = 20;

export class Speaker extends EventTarget {
  static async open(context) {
    await context.audioWorklet.addModule("/page/playback-worklet.js");
    return new Speaker(context);
  }

  constructor(context) {
    super();
    this.context = context;
    this.playing = false;
    this.level = 0;
    this.lateMs = 0;
    this.waiting = [];
    this.stoppedItems = new Set();
    this.node = new AudioWorkletNode(context, "playback", {
      numberOfInputs: 0,
      outputChannelCount: [1],
      processorOptions: { rateHz: RATE_HZ, bufferMs: BUFFER_MS },
    });
    this.node.port.onmessage = ({ data }) => this.hear(data);
    this.node.connect(context.destination);
  }

  /** Queues PCM16 (an ArrayBuffer, which is handed over); what was stopped stays silent. */
  play(item, pcm) {
    if (this.stoppedItems.has(item)) return;
    this.playing = true;
    this.node.port.postMessage({ item, pcm }, [pcm]);
  }

  /** All of this item has arrived. */
  finish(item) {
    if (item) this.node.port.postMessage({ finished: item });
  }

  /** Plays on this device; a browser that cannot choose plays where it did. */
  async useSink(deviceId) {
    await this.context.setSinkId?.(deviceId);
  }

  /** Falls silent at once; resolves to {item, playedMs}, item null when nothing was being played. */
  stop() {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.node.port.postMessage({ stop: true });
    });
  }

  hear(data) {
    if (data.stopped) {
      this.playing = false;
      if (data.item) this.stoppedItems.add(data.item);
      this.waiting.shift()?.({ item: data.item, playedMs: data.playedMs });
    } else if (data.started) {
      this.dispatchEvent(new CustomEvent("started", { detail: { item: data.started, at: this.heardAt(data.at) } }));
    } else if (data.drained) {
      this.playing = false;
      this.dispatchEvent(new CustomEvent("drained"));
    } else if ("level" in data) {
      this.level = data.level;
      this.lateMs = data.lateMs;
    }
  }

  // The performance time at which a sample of this context time comes out of the loudspeaker.
  heardAt(contextTime) {
    const { outputLatency = 0, baseLatency = 0 } = this.context;
    const aheadMs = 1000 * (contextTime - this.context.currentTime);
    return performance.now() + aheadMs + 1000 * Math.max(outputLatency, baseLatency);
  }

  close() {
    this.node.disconnect();
    this.node.port.onmessage = null;
  }
}
