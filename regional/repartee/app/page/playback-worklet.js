// Plays PCM16 as it arrives, behind a small jitter buffer that can be emptied at once.

import { Resampler } from "/page/resampler.js";

const LEVEL_EVERY_BLOCKS = 12;

class Playback extends AudioWorkletProcessor {
  constructor({ processorOptions: { rateHz, bufferMs } }) {
    super();
    this.rateHz = rateHz;
    this.bufferSamples = (bufferMs * sampleRate) / 1000;
    this.waitedBlocks = 0;
    this.clear();
    this.played = new Map();
    this.blocks = 0;
    this.port.onmessage = ({ data }) => (data.stop ? this.stop() : this.add(data));
  }

  clear() {
    this.queue = [];
    this.queued = 0;
    this.running = false;
    this.resampler = new Resampler(this.rateHz, sampleRate);
  }

  add({ item, pcm }) {
    const samples = Float32Array.from(new Int16Array(pcm), (value) => value / 32768);
    const ready = this.resampler.process(samples);
    this.queue.push({ item, samples: ready, at: 0 });
    this.queued += ready.length;
  }

  stop() {
    const head = this.queue[0];
    const item = this.queue.length ? head.item : null;
    this.port.postMessage({ stopped: true, item, playedMs: item ? this.playedMs(item) : 0 });
    this.clear();
  }

  playedMs(item) {
    return Math.floor(((this.played.get(item) ?? 0) * 1000) / sampleRate);
  }

  // Starts when the buffer is full, or has waited as long as it would take to fill.
  mayRun() {
    if (this.running) return true;
    if (!this.queued) return false;
    this.waitedBlocks += 1;
    this.running = this.queued >= this.bufferSamples || this.waitedBlocks * 128 >= this.bufferSamples;
    if (this.running) this.waitedBlocks = 0;
    return this.running;
  }

  process(_inputs, [[output]]) {
    let energy = 0;
    if (this.mayRun()) energy = this.fill(output);
    this.blocks += 1;
    if (this.blocks % LEVEL_EVERY_BLOCKS === 0) {
      this.port.postMessage({ level: Math.sqrt(energy / output.length) });
    }
    return true;
  }

  fill(output) {
    let written = 0;
    let energy = 0;
    while (written < output.length && this.queue.length) {
      const head = this.queue[0];
      if (!this.played.has(head.item)) {
        this.played.set(head.item, 0);
        this.port.postMessage({ started: head.item, at: currentTime + written / sampleRate });
      }
      const count = Math.min(output.length - written, head.samples.length - head.at);
      for (let index = 0; index < count; index += 1) {
        const sample = head.samples[head.at + index];
        output[written + index] = sample;
        energy += sample * sample;
      }
      written += count;
      head.at += count;
      this.queued -= count;
      this.played.set(head.item, this.played.get(head.item) + count);
      if (head.at >= head.samples.length) this.queue.shift();
    }
    if (!this.queue.length) {
      this.running = false;
      this.port.postMessage({ drained: true });
    }
    return energy;
  }
}

registerProcessor("playback", Playback);
