// What the regions say, merged: the bins of their latency sketches add up, so percentiles of all are exact to 1 %.

const LEAST_KEY = -400;
const BINS = 2048;
const SLOW_KEPT = 10_000;
const QUIET_S = 30;

/** Values of one stage and kind, in bins of bounded error. */
export class Bins {
  constructor() {
    this.counts = new Uint32Array(BINS);
    this.zeros = 0;
    this.count = 0;
  }

  /** `pairs` are each bin's key and count in turn. */
  add(zeros, pairs) {
    this.zeros += zeros;
    this.count += zeros;
    for (let at = 0; at < pairs.length; at += 2) {
      const place = Math.min(Math.max(pairs[at] - LEAST_KEY, 0), BINS - 1);
      this.counts[place] += pairs[at + 1];
      this.count += pairs[at + 1];
    }
  }

  merge(other) {
    this.zeros += other.zeros;
    this.count += other.count;
    for (let place = 0; place < BINS; place++) this.counts[place] += other.counts[place];
  }

  /** P50, P90 and P99 in ms; null of nothing. */
  percentiles(gamma) {
    if (!this.count) return null;
    const ranks = [0.5, 0.9, 0.99].map((share) => (this.count - 1) * share);
    const found = [];
    let passed = this.zeros;
    while (found.length < 3 && passed > ranks[found.length]) found.push(0);
    for (let place = 0; place < BINS && found.length < 3; place++) {
      passed += this.counts[place];
      while (found.length < 3 && passed > ranks[found.length]) {
        found.push((2 * gamma ** (place + LEAST_KEY)) / (1 + gamma));
      }
    }
    const [p50, p90, p99] = found;
    return { count: this.count, p50, p90, p99 };
  }
}

export class Figures {
  constructor() {
    this.sources = new Map();
    this.slow = new Map();
    this.budgets = {};
    this.windows = {};
    this.gamma = 1.01;
    this.labels = { region: new Set(), agent: new Set(), vendor: new Set() };
    this.merged = new Map();
    this.shown = "";
  }

  /** One process's part: slots that come again take the place of those before. */
  take(part) {
    this.budgets = part.budgets_ms;
    this.windows = part.windows;
    this.gamma = (1 + part.error) / (1 - part.error);
    const source = this.sources.get(part.source) ?? { latencies: {}, counts: {} };
    this.sources.set(part.source, source);
    Object.assign(source, { now: part, heardAt: Date.now() / 1000 });
    this.labels.region.add(part.region);
    for (const [name, [slotS, slots]] of Object.entries(part.windows)) {
      const oldest = part.at - slotS * slots;
      const latencies = (source.latencies[name] ??= new Map());
      const counts = (source.counts[name] ??= new Map());
      for (const [at, series] of part.latencies[name]) {
        latencies.set(at, series);
        this.merged.delete(`${name} ${at}`);
        for (const [, , , vendor, agent] of series) {
          if (vendor) this.labels.vendor.add(vendor);
          this.labels.agent.add(agent);
        }
      }
      for (const [at, counted] of part.counts[name]) counts.set(at, counted);
      for (const kept of [latencies, counts]) for (const at of kept.keys()) if (at < oldest) kept.delete(at);
    }
    for (const turn of part.slow_turns) this.slow.set(`${turn.call_id} ${turn.turn_id}`, turn);
    for (const key of this.slow.keys()) {
      if (this.slow.size <= SLOW_KEPT) break;
      this.slow.delete(key);
    }
  }

  /** When the last part of each source was made, at the earliest: from there on figures may be missing. */
  get since() {
    const times = [...this.sources.values()].map((source) => source.now.at);
    return times.length ? Math.min(...times) - 2 : 0;
  }

  /** The figures of a window, of the series with these labels (empty: any). */
  view({ window, region, agent, vendor }) {
    const shown = [window, region, agent, vendor].join("\n");
    if (shown !== this.shown) this.merged.clear();
    this.shown = shown;
    const wanted = [...this.sources.values()].filter((source) => !region || source.now.region === region);
    const whole = new Map();
    const overTime = new Map();
    const times = new Set(wanted.flatMap((source) => [...(source.latencies[window]?.keys() ?? [])]));
    for (const at of [...times].sort((a, b) => a - b)) {
      for (const [key, bins] of this.slot(wanted, window, at, agent, vendor)) {
        if (!whole.has(key)) {
          whole.set(key, new Bins());
          overTime.set(key, []);
        }
        whole.get(key).merge(bins);
        overTime.get(key).push({ at, ...bins.percentiles(this.gamma) });
      }
    }
    const latencies = new Map();
    for (const [key, bins] of whole) {
      latencies.set(key, { ...bins.percentiles(this.gamma), overTime: overTime.get(key) });
    }
    return { latencies, counts: this.counts(wanted, window), now: now(wanted) };
  }

  slot(sources, window, at, agent, vendor) {
    const name = `${window} ${at}`;
    const known = this.merged.get(name);
    if (known) return known;
    const found = new Map();
    for (const source of sources) {
      for (const [stage, kind, , ofVendor, ofAgent, zeros, pairs] of source.latencies[window].get(at) ?? []) {
        if ((agent && ofAgent !== agent) || (vendor && ofVendor !== vendor)) continue;
        const key = `${stage} ${kind}`;
        if (!found.has(key)) found.set(key, new Bins());
        found.get(key).add(zeros, pairs);
      }
    }
    this.merged.set(name, found);
    return found;
  }

  counts(sources, window) {
    const found = {};
    for (const source of sources) {
      for (const counted of source.counts[window]?.values() ?? []) {
        for (const [name, label, count] of counted) {
          const of = (found[name] ??= {});
          of[label] = (of[label] ?? 0) + count;
        }
      }
    }
    return found;
  }

  /** Turns of a window with these labels: the newest that were over budget or unanswered, or the slowest of all. */
  slowTurns({ window, region, agent, vendor }, order) {
    const [slotS, slots] = this.windows[window] ?? [0, 0];
    const since = Date.now() / 1000 - slotS * slots;
    const found = [...this.slow.values()].filter(
      (turn) =>
        turn.at >= since &&
        (order === "slowest" || turn.over_budget || turn.outcome === "unanswered") &&
        (!region || turn.region === region) &&
        (!agent || turn.agent === agent) &&
        (!vendor || Object.values(turn.providers).includes(vendor)),
    );
    const slowness = (turn) => turn.voice_to_voice_ms ?? Infinity;
    return found.sort((a, b) => (order === "slowest" && slowness(b) - slowness(a)) || b.at - a.at);
  }
}

function now(sources) {
  const pools = { hits: 0, misses: 0 };
  const slots = new Map();
  let calls = 0;
  let currency = "USD";
  const alive = sources.filter((source) => Date.now() / 1000 - source.heardAt < QUIET_S);
  for (const { now: part } of alive) {
    calls += part.calls;
    currency = part.currency;
    slots.set(part.region, part.slots);
    for (const [, , , hits, misses] of part.pools) {
      pools.hits += hits;
      pools.misses += misses;
    }
  }
  return {
    calls,
    currency,
    slots: [...slots.values()].reduce((sum, count) => sum + count, 0),
    regions: slots.size,
    pools,
    lagMs: Math.max(0, ...alive.map((source) => source.now.loop_lag_ms)),
  };
}
