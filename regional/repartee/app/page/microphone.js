// The microphone: asks for it, and gives its sound as 20 ms frames.

import { Fault } from "/page/faults.js";

export const RATE_HZ = 24000;
export const FRAME_MS = 20;

export class Microphone {
  /** Opens the microphone on an AudioContext. `onFrame({pcm, level, capturedAt})`: capturedAt is the performance
   *  time, in ms, at which the frame's last sample was taken. Throws a Fault. */
  static async open(context, onFrame) {
    const stream = await permitted();
    await context.audioWorklet.addModule("/page/capture-worklet.js");
    return new Microphone(context, stream, onFrame);
  }

  constructor(context, stream, onFrame) {
    this.stream = stream;
    this.muted = false;
    this.source = context.createMediaStreamSource(stream);
    const [track] = stream.getAudioTracks();
    const deviceMs = 1000 * (track.getSettings().latency ?? 0);
    this.node = new AudioWorkletNode(context, "capture", {
      numberOfOutputs: 0,
      processorOptions: { rateHz: RATE_HZ, frameSamples: (RATE_HZ * FRAME_MS) / 1000 },
    });
    this.node.port.onmessage = ({ data: { pcm, level, endsAt } }) => {
      const hopMs = Math.max(0, Math.min(100, 1000 * (context.currentTime - endsAt)));
      const capturedAt = performance.now() - hopMs - deviceMs;
      if (this.muted) onFrame({ pcm: new ArrayBuffer(pcm.byteLength), level: 0, capturedAt });
      else onFrame({ pcm, level, capturedAt });
    };
    this.source.connect(this.node);
  }

  /** Calls back when the device goes away. */
  onLost(callback) {
    this.stream.getAudioTracks()[0].addEventListener("ended", callback, { once: true });
  }

  close() {
    this.node.port.onmessage = null;
    this.source.disconnect();
    for (const track of this.stream.getTracks()) track.stop();
  }
}

async function permitted() {
  if (!window.isSecureContext || !navigator.mediaDevices) throw new Fault("insecure");
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (error) {
    const kinds = { NotAllowedError: "denied", NotFoundError: "no-microphone", NotReadableError: "microphone-busy" };
    throw kinds[error.name] ? new Fault(kinds[error.name]) : new Fault("microphone", error.message);
  }
}
