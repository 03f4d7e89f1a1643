// The controls of a call: start, mute, end, the level meter and the words beside it.

const STATES = {
  connecting: "Connecting …",
  listening: "Listening",
  hearing: "You are speaking",
  thinking: "Thinking",
  speaking: "Agent speaking",
  away: "Reconnecting …",
};
const TITLES = { idle: "Repartee", hearing: "You · Repartee", speaking: "Agent · Repartee" };
const BARS = [0.45, 0.8, 1, 0.7, 0.4];

export class ControlsView {
  constructor(find) {
    this.find = find;
    this.bars = [...find("meter").children];
  }

  /** `idle`, `connecting`, or a state of the call. */
  show(state, { muted = false, deaf = false } = {}) {
    document.body.dataset.state = state;
    document.title = TITLES[state] ?? "In a call · Repartee";
    const calling = state !== "idle";
    this.find("talk").hidden = calling;
    this.find("live").hidden = !calling;
    this.find("end").hidden = state === "connecting";
    this.find("mute").hidden = deaf || state === "connecting";
    this.find("mute").setAttribute("aria-pressed", String(muted));
    this.find("mute").textContent = muted ? "Unmute" : "Mute";
    const words = muted && state === "listening" ? "Muted" : STATES[state];
    this.find("status").textContent = deaf && state === "listening" ? "Waiting for you" : words ?? "";
  }

  /** Draws the loudness (0 to 1) of whoever speaks. */
  level(loudness) {
    const shown = Math.min(1, Math.sqrt(loudness) * 1.9);
    this.bars.forEach((bar, index) => {
      bar.style.transform = `scaleY(${(0.16 + 0.84 * shown * BARS[index]).toFixed(3)})`;
    });
  }
}
