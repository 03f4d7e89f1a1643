// Where your speech ended, to the sample, found the same way as the server finds it: a 5 ms window is audible where
// its level stands 9 dB above the noise floor; a lone click is no speech.

const WINDOW_MS = 5;
const ABOVE_FLOOR_DB = 9;
const AT_MOST_BELOW_LOUD_DB = 15;
const AT_LEAST_BELOW_LOUD_DB = 42;
const LEAST_DBFS = -55;
const CLICK_SPAN = 12;
const CLICK_WINDOWS = 3;

/** Index of the sample after the last one of speech in an Int16Array; null if nothing is audible. */
export function speechEnd(samples, rateHz) {
  const window = (rateHz * WINDOW_MS) / 1000;
  const levels = levelsOf(samples, window);
  if (!levels.length) return null;
  const threshold = thresholdOf(levels);
  const audible = levels.map((level) => level >= threshold);
  for (let index = audible.length - 1; index >= 0; index -= 1) {
    if (audible[index] && hasCompany(audible, index)) return lastReaching(samples, index, window, threshold);
  }
  return null;
}

function levelsOf(samples, window) {
  const levels = [];
  for (let start = 0; start < samples.length; start += window) {
    let energy = 0;
    const end = Math.min(start + window, samples.length);
    for (let index = start; index < end; index += 1) energy += samples[index] * samples[index];
    levels.push(10 * Math.log10(energy / window / 32768 ** 2 + 1e-12));
  }
  return levels;
}

function thresholdOf(levels) {
  const sorted = [...levels].sort((a, b) => a - b);
  const at = (share) => sorted[Math.round((sorted.length - 1) * share)];
  const loud = at(0.95);
  const wanted = Math.min(at(0.05) + ABOVE_FLOOR_DB, loud - AT_MOST_BELOW_LOUD_DB);
  return Math.max(wanted, loud - AT_LEAST_BELOW_LOUD_DB, LEAST_DBFS);
}

function hasCompany(audible, index) {
  const count = (from, to) => audible.slice(Math.max(0, from), to).filter(Boolean).length;
  return Math.max(count(index + 1 - CLICK_SPAN, index + 1), count(index, index + CLICK_SPAN)) >= CLICK_WINDOWS;
}

function lastReaching(samples, index, window, threshold) {
  const amplitude = 32768 * 10 ** (threshold / 20);
  const start = index * window;
  for (let at = Math.min(start + window, samples.length) - 1; at >= start; at -= 1) {
    if (Math.abs(samples[at]) >= amplitude) return at + 1;
  }
  return start;
}
