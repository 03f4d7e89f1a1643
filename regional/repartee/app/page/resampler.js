// Streaming sample-rate conversion (windowed sinc), for browsers whose audio cannot run at the session's rate.

const HALF_WIDTH = 12;

export class Resampler {
  /** Converts Float32 samples from one rate to another; equal rates pass through. */
  constructor(fromHz, toHz) {
    this.step = fromHz / toHz;
    this.cutoff = Math.min(1, 1 / this.step) * 0.92;
    this.reach = Math.ceil(HALF_WIDTH / this.cutoff);
    this.held = new Float32Array(this.reach);
    this.position = this.reach;
  }

  /** The samples that can be told by now. */
  process(input) {
    if (this.step === 1) return input;
    const data = new Float32Array(this.held.length + input.length);
    data.set(this.held);
    data.set(input, this.held.length);
    const output = [];
    while (this.position + this.reach < data.length) {
      output.push(this.sampleAt(data, this.position));
      this.position += this.step;
    }
    const keepFrom = Math.max(0, Math.floor(this.position) - this.reach);
    this.held = data.slice(keepFrom);
    this.position -= keepFrom;
    return Float32Array.from(output);
  }

  sampleAt(data, position) {
    const first = Math.max(0, Math.ceil(position - this.reach));
    const last = Math.min(data.length - 1, Math.floor(position + this.reach));
    let sum = 0;
    for (let index = first; index <= last; index += 1) {
      const distance = position - index;
      const angle = Math.PI * distance * this.cutoff;
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
      sum += data[index] * sinc * (0.5 + 0.5 * Math.cos((Math.PI * distance) / (this.reach + 1)));
    }
    return sum * this.cutoff;
  }
}
