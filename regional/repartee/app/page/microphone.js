// The microphone: asks for it, and gives its sound as 20 ms frames.

import { Fault } from "/page/faults.js";

export const RATE_HZ = 24000;
export const FRAME_MS = 20;

export class Microphone {
  /** Opens a microphone on an AudioContext; with the id of a device, that one if it is there. `onFrame({pcm, level,
   *  capturedAt})`: capturedAt is the performance time, in ms, at which the frame's last sample was taken. Throws a
   *  Fault. */
  static async open(context, deviceId, onFrame) {
    const stream = await permitted(deviceId);
    await context.audioWorklet.addModule("/page/capture-worklet.js");
    return new Microphone(context, stream, onFrame);
  }

  constructor(context, stream, onFrame) {
    this.stream = stream;
    [this.track] = stream.getAudioTracks();
    this.source = context.createMediaStreamSource(stream);
    const deviceMs = 1000 * (this.track.getSettings().latency ?? 0);
    this.node = new AudioWorkletNode(context, "capture", {
      numberOfOutputs: 0,
      processorOptions: { rateHz: RATE_HZ, frameSamples: (RATE_HZ * FRAME_MS) / 1000 },
    });
    this.node.port.onmessage = ({ data: { pcm, level, endsAt } }) => {
      const hopMs = Math.max(0, Math.min(100, 1000 * (context.currentTime - endsAt)));
      onFrame({ pcm, level, capturedAt: performance.now() - hopMs - deviceMs });
    };
    this.source.connect(this.node);
  }

  get muted() {
    return !this.track.enabled;
  }

  /** A muted microphone gives silence. */
  set muted(muted) {
    this.track.enabled = !muted;
  }

  /** Calls back when the device goes away. */
  onLost(callback) {
    this.track.addEventListener("ended", callback, { once: true });
  }

  close() {
    this.node.port.onmessage = null;
    this.source.disconnect();
    for (const track of this.stream.getTracks()) track.stop();
  }
}

async function permitted(deviceId) {
  if (!window.isSecureContext || !navigator.mediaDevices) throw new Fault("insecure");
  const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: deviceId ? { ...audio, deviceId: { exact: deviceId } } : audio,
    });
  } catch (error) {
    // The chosen one is not there today.
    if (error.name === "OverconstrainedError" && deviceId) return permitted("");
    const kinds = { NotAllowedError: "denied", NotFoundError: "no-microphone", NotReadableError: "microphone-busy" };
    throw kinds[error.name] ? new Fault(kinds[error.name]) : new Fault("microphone", error.message);
  }
}
