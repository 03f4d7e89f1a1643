// Microphone in, earpiece out, at 8 kHz: 20 ms each way. What has not come yet is silence.
const FRAME = 160;
const MOST_WAITING = 40;

class Telephone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frames = [];
    this.at = 0;
    this.spoken = new Float32Array(FRAME);
    this.filled = 0;
    this.port.onmessage = ({ data }) => {
      this.frames.push(data);
      if (this.frames.length > MOST_WAITING) this.frames.shift();
    };
  }

  process([input], [output]) {
    const out = output[0];
    for (let i = 0; i < out.length; i++) {
      out[i] = this.frames.length ? this.frames[0][this.at++] : 0;
      if (this.at === FRAME) {
        this.frames.shift();
        this.at = 0;
      }
      this.spoken[this.filled++] = input[0] ? input[0][i] : 0;
      if (this.filled === FRAME) {
        this.port.postMessage(this.spoken.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("telephone", Telephone);
