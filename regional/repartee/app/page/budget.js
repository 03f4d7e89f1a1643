// The stages of a turn in words, and what each may take by the latency budget (milliseconds).

export const BUDGET_MS = 500;
const FEELS_WRONG_MS = 700;

/** How a latency feels: "good" within the budget, "late" past it, "wrong" where people begin to mind. */
export function verdictOn(ms) {
  if (ms < BUDGET_MS) return "good";
  return ms < FEELS_WRONG_MS ? "late" : "wrong";
}

// In the order of time. `target` is the budget's range; stages without one are counted in the whole.
export const STAGES = {
  capture: { words: "Capture", tells: "microphone to network, in 20 ms frames", target: [20, 40] },
  end_of_turn: { words: "End of turn", tells: "speech recognition hears that you have finished", target: [50, 150] },
  llm: { words: "Model", tells: "the language model’s first token", target: [80, 200] },
  tool: { words: "Tool", tells: "looking something up", target: null },
  chunk: { words: "First words", tells: "until there is something speakable", target: null },
  tts: { words: "Voice", tells: "the first byte of speech", target: [80, 180] },
  filler: { words: "Filler", tells: "a phrase while a tool runs", target: null },
  hold: { words: "Confirmed", tells: "speech was ready; the turn’s end had to be certain", target: null },
  lead_in: { words: "Lead-in", tells: "silence at the head of the speech", target: null },
  network: { words: "Network", tells: "there and back", target: [60, 160] },
  playback: { words: "Playback", tells: "buffer and loudspeaker", target: [20, 50] },
};

const LEAST_MS = 0.05;
const ORDER = Object.keys(STAGES);

/** The stages of a turn in the order of time, as {name, words, tells, target, ms, startMs}. */
export function laidOut(stagesMs) {
  const names = Object.keys(stagesMs)
    .filter((name) => Math.abs(stagesMs[name]) >= LEAST_MS)
    .sort((a, b) => rank(a) - rank(b));
  let startMs = 0;
  return names.map((name) => {
    const known = STAGES[name] ?? { words: name.replaceAll("_", " "), tells: "", target: null };
    const stage = { name, ...known, ms: stagesMs[name], startMs };
    startMs += Math.max(0, stage.ms);
    return stage;
  });
}

function rank(name) {
  const at = ORDER.indexOf(name);
  return at < 0 ? ORDER.length : at;
}

/** Linear between the nearest ranks; null without values. */
export function percentile(values, percent) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const position = ((sorted.length - 1) * percent) / 100;
  const low = Math.floor(position);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (position - low);
}
