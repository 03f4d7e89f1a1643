// Plays PCM16 as it arrives, behind a small jitter buffer that can be emptied at once.
//
// Where the network stood still in mid-answer, all that follows is late: silence between words is skipped until it is
// not. What follows words is left, so that no word is touched.

import { Resampler } from "/page/resampler.js";

const LEVEL_EVERY_BLOCKS = 12;
const BLOCK = 128;
/** From so much lateness on (s) silence is skipped, until only so much is left. */
const LATE_S = 0.4;
const CAUGHT_UP_S = 0.02;
/** Silence is this quiet (amplitude; -46 dBFS), and that much of it (s) stays on either side of a word. */
const SILENT = 0.005;
const KEPT_S = 0.04;
/** Speech without a pause for so long (s), while late, is cut to where it should be. */
const PATIENCE_S = 5;

class Playback extends AudioWorkletProcessor {
  constructor({ processorOptions: { rateHz, bufferMs } }) {
    super();
    this.rateHz = rateHz;
    this.bufferSamples = (bufferMs * sampleRate) / 1000;
    this.keptBlocks = Math.ceil((KEPT_S * sampleRate) / BLOCK);
    this.waitedBlocks = 0;
    this.clear();
    this.played = new Map();
    this.finished = new Set();
    this.blocks = 0;
    this.port.onmessage = ({ data }) => this.take(data);
  }

  take(data) {
    if (data.stop) this.stop();
    else if (data.finished) this.finish(data.finished);
    else this.add(data);
  }

  finish(item) {
    this.finished.add(item);
    if (this.starved && this.item === item) this.runDry();
  }

  clear() {
    this.queue = [];
    this.queued = 0;
    this.running = false;
    this.starved = false;
    this.item = null;
    this.late = 0;
    this.lateFor = 0;
    this.catching = false;
    this.silentBlocks = 0;
    this.resampler = new Resampler(this.rateHz, sampleRate);
  }

  add({ item, pcm }) {
    const samples = Float32Array.from(new Int16Array(pcm), (value) => value / 32768);
    const ready = this.resampler.process(samples);
    this.queue.push({ item, samples: ready, at: 0 });
    this.queued += ready.length;
  }

  stop() {
    const item = this.queue.length ? this.queue[0].item : this.starved ? this.item : null;
    this.port.postMessage({ stopped: true, item, playedMs: item ? this.playedMs(item) : 0 });
    this.clear();
  }

  playedMs(item) {
    return Math.floor(((this.played.get(item) ?? 0) * 1000) / sampleRate);
  }

  // Starts when the buffer is full, or has waited as long as it would take to fill.
  mayRun() {
    if (this.running) return true;
    if (this.starved) this.late += BLOCK;
    if (!this.queued) return false;
    this.waitedBlocks += 1;
    this.running = this.queued >= this.bufferSamples || this.waitedBlocks * BLOCK >= this.bufferSamples;
    if (this.running) {
      this.waitedBlocks = 0;
      this.starved = false;
    }
    return this.running;
  }

  process(_inputs, [[output]]) {
    let energy = 0;
    if (this.mayRun()) {
      this.catchUp();
      energy = this.fill(output);
    }
    this.blocks += 1;
    if (this.blocks % LEVEL_EVERY_BLOCKS === 0) {
      const lateMs = (1000 * this.late) / sampleRate;
      this.port.postMessage({ level: Math.sqrt(energy / output.length), lateMs });
    }
    return true;
  }

  // --- catching up ---

  catchUp() {
    if (this.late >= LATE_S * sampleRate) this.catching = true;
    if (this.late <= CAUGHT_UP_S * sampleRate) this.catching = false;
    if (!this.catching) {
      this.lateFor = 0;
      return;
    }
    this.lateFor += BLOCK;
    while (this.late >= BLOCK && this.silentBlocks >= this.keptBlocks && this.isSilent(this.keptBlocks * BLOCK)) {
      this.skip(BLOCK);
    }
    if (this.lateFor >= PATIENCE_S * sampleRate) this.skip(Math.min(this.late, this.queued));
  }

  // Whether the next samples are there, of this item, and silent.
  isSilent(count) {
    let looked = 0;
    for (const { item, samples, at } of this.queue) {
      if (item !== this.queue[0].item) return false;
      for (let index = at; index < samples.length; index += 1) {
        if (Math.abs(samples[index]) >= SILENT) return false;
        looked += 1;
        if (looked >= count) return true;
      }
    }
    return false;
  }

  skip(count) {
    let left = count;
    while (left > 0 && this.queue.length) {
      const head = this.queue[0];
      const here = Math.min(left, head.samples.length - head.at);
      this.advance(head, here);
      left -= here;
    }
    this.late = Math.max(0, this.late - (count - left));
    this.lateFor = 0;
  }

  // --- playing ---

  begin(item) {
    if (this.item !== item) {
      this.item = item;
      this.late = 0;
    }
    if (this.played.has(item)) return false;
    this.played.set(item, 0);
    return true;
  }

  advance(head, count) {
    head.at += count;
    this.queued -= count;
    this.played.set(head.item, (this.played.get(head.item) ?? 0) + count);
    if (head.at >= head.samples.length) this.queue.shift();
  }

  fill(output) {
    let written = 0;
    let energy = 0;
    let loudest = 0;
    while (written < output.length && this.queue.length) {
      const head = this.queue[0];
      if (this.begin(head.item)) {
        this.port.postMessage({ started: head.item, at: currentTime + written / sampleRate });
      }
      const count = Math.min(output.length - written, head.samples.length - head.at);
      for (let index = 0; index < count; index += 1) {
        const sample = head.samples[head.at + index];
        output[written + index] = sample;
        energy += sample * sample;
        loudest = Math.max(loudest, Math.abs(sample));
      }
      written += count;
      this.advance(head, count);
    }
    this.silentBlocks = loudest < SILENT ? this.silentBlocks + 1 : 0;
    if (!this.queue.length) this.runDry();
    return energy;
  }

  runDry() {
    this.running = false;
    // More of this item is to come: whatever it waits for from here on, it is late by.
    this.starved = !this.finished.has(this.item);
    if (this.starved) return;
    this.late = 0;
    this.port.postMessage({ drained: true });
  }
}

registerProcessor("playback", Playback);
