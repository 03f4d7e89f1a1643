// Cuts what the microphone gives into 20 ms frames of PCM16 at the session's rate.

import { Resampler } from "/page/resampler.js";

class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions: { rateHz, frameSamples } }) {
    super();
    this.resampler = new Resampler(sampleRate, rateHz);
    this.frame = new Int16Array(frameSamples);
    this.filled = 0;
    this.energy = 0;
  }

  process([[samples]]) {
    if (!samples) return true;
    for (const sample of this.resampler.process(samples)) {
      const clipped = Math.max(-1, Math.min(1, sample));
      this.frame[this.filled] = Math.round(clipped * 32767);
      this.energy += clipped * clipped;
      this.filled += 1;
      if (this.filled === this.frame.length) this.give();
    }
    return true;
  }

  give() {
    const pcm = this.frame.buffer;
    const level = Math.sqrt(this.energy / this.filled);
    this.port.postMessage({ pcm, level, endsAt: currentTime + 128 / sampleRate }, [pcm]);
    this.frame = new Int16Array(this.filled);
    this.filled = 0;
    this.energy = 0;
  }
}

registerProcessor("capture", Capture);
