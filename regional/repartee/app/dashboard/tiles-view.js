// What goes on now and what was counted, a tile each.

import { make, percent } from "/dashboard/elements.js";

const sum = (counts) => Object.values(counts ?? {}).reduce((all, count) => all + count, 0);

/** The tiles: name, figure, what it is of, whether something is wrong. */
export function tilesOf({ counts, now }) {
  const turns = counts.turns ?? {};
  const guesses = counts.speculations ?? {};
  const prefetches = counts.prefetches ?? {};
  const asked = (prefetches.hit ?? 0) + (prefetches.miss ?? 0);
  const leases = now.pools.hits + now.pools.misses;
  const errors = Object.entries(counts.errors ?? {}).sort((a, b) => b[1] - a[1]);
  const seconds = sum(counts.call_seconds);
  const cost = sum(counts.cost);
  return [
    {
      name: "Calls now",
      figure: String(now.calls),
      of: `of ${now.slots} slots`,
      share: now.slots ? now.calls / now.slots : 0,
    },
    { name: "Turns", figure: String(sum(turns)), of: `${turns.answered ?? 0} answered to the end` },
    {
      name: "Unanswered",
      figure: String(turns.unanswered ?? 0),
      of: percent(turns.unanswered ?? 0, sum(turns)),
      wrong: turns.unanswered > 0,
    },
    { name: "Pool hits", figure: percent(now.pools.hits, leases), of: `${now.pools.hits} of ${leases} leases were warm` },
    {
      name: "Speculation",
      figure: percent(guesses.released ?? 0, sum(guesses)),
      of: `${guesses.released ?? 0} of ${sum(guesses)} replies used`,
    },
    {
      name: "Prefetch",
      figure: percent(prefetches.hit ?? 0, asked),
      of: `${prefetches.hit ?? 0} hits, ${prefetches.miss ?? 0} misses, ${prefetches.wasted ?? 0} wasted`,
    },
    { name: "Cut-offs", figure: String(turns.superseded ?? 0), of: "turns that the caller went on with" },
    { name: "Interruptions", figure: String(sum(counts.interruptions)), of: "answers that the caller stopped" },
    {
      name: "Errors by vendor",
      figure: String(sum(counts.errors)),
      of: errors.length ? errors.map(([vendor, count]) => `${vendor}: ${count}`).join("\n") : "none",
      wrong: errors.length > 0,
    },
    {
      name: "Cost a minute",
      figure: cost && seconds ? money(cost / (seconds / 60), now.currency) : "–",
      of: cost ? `${money(cost, now.currency)} in ${(seconds / 60).toFixed(1)} minutes` : "no prices are set",
    },
  ];
}

export function money(amount, currency) {
  const digits = amount < 0.1 ? 4 : 2;
  return new Intl.NumberFormat(undefined, {
    style: "currency",
    currency,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(amount);
}

export class TilesView {
  constructor(parent) {
    this.parent = parent;
    this.tiles = new Map();
  }

  show(view) {
    for (const tile of tilesOf(view)) {
      if (!this.tiles.has(tile.name)) this.tiles.set(tile.name, this.add(tile));
      const { box, figure, of, bar } = this.tiles.get(tile.name);
      figure.textContent = tile.figure;
      of.textContent = tile.of;
      box.classList.toggle("wrong", Boolean(tile.wrong));
      if (bar) bar.value = tile.share;
    }
  }

  add(tile) {
    const figure = make("span", "tile-figure");
    const of = make("span", "tile-of");
    const bar = tile.share === undefined ? null : make("meter");
    const box = make("div", "tile", make("dt", "caption", tile.name), make("dd", "", figure, of, bar));
    box.dataset.tile = tile.name;
    bar?.setAttribute("aria-label", "Slots taken");
    this.parent.append(box);
    return { box, figure, of, bar };
  }
}
