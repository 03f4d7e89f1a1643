// How the call is connected, and how good that is at the moment.

const NAMES = { webrtc: "WebRTC", websocket: "WebSocket" };
const LOSSY = 0.01;
const BEHIND_MS = 60;

export class LineView {
  constructor(find) {
    this.find = find;
  }

  /** The kind of connection; `why` it is no WebRTC. */
  show({ transport, why }) {
    const peer = transport === "webrtc";
    this.find("line").hidden = false;
    this.find("line-kind").textContent = NAMES[transport];
    this.find("line-why").textContent = why ? `No WebRTC: ${why}.` : "";
    this.find("line-why").hidden = !why;
    this.find("line-loss").closest("div").hidden = !peer;
    this.find("line-jitter").closest("div").hidden = !peer;
    this.find("line-behind").closest("div").hidden = peer;
    this.update({});
  }

  /** Its figures; what is not known yet is left open. */
  update({ roundTripMs, lossShare, lossDown = 0, lossUp = 0, jitterMs, behindMs, protocol }) {
    const ms = (value) => (value === undefined || value === null ? "–" : `${Math.round(value)} ms`);
    this.find("line-trip").textContent = ms(roundTripMs);
    this.find("line-jitter").textContent = ms(jitterMs);
    this.find("line-behind").textContent = ms(behindMs);
    const loss = this.find("line-loss");
    loss.textContent = lossShare === undefined ? "–" : `${percent(lossShare)} %`;
    loss.title = `${percent(lossDown)} % of the agent’s packets, ${percent(lossUp)} % of yours`;
    loss.dataset.poor = String((lossShare ?? 0) >= LOSSY);
    this.find("line-behind").dataset.poor = String((behindMs ?? 0) >= BEHIND_MS);
    if (protocol) this.find("line-kind").title = `media over ${protocol.toUpperCase()}`;
  }
}

function percent(share) {
  return share && share < 0.1 ? (100 * share).toFixed(1) : String(Math.round(100 * share));
}
