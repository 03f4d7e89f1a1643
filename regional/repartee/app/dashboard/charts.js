// Percentiles over time, drawn with uPlot: P50 thin, P90 thick, P99 dashed, the budget dotted.

const uPlot = window.uPlot;
const LINES = [
  { name: "p50", label: "P50", width: 1.5 },
  { name: "p90", label: "P90", width: 2.5 },
  { name: "p99", label: "P99", width: 1.5, dash: [5, 4] },
];

const HOURS = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const SECONDS = new Intl.DateTimeFormat(undefined, { minute: "2-digit", second: "2-digit", hour12: false });

const style = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

/** A chart of one stage. `small`: a lane's, without axes. */
export class PercentileChart {
  constructor(parent, { small }) {
    this.parent = parent;
    this.small = small;
    this.points = [];
    this.budget = null;
    this.scope = [0, 1];
    this.plot = new uPlot(this.options(), [[], [], [], []], parent);
    new ResizeObserver(() => this.fit()).observe(parent);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plot.redraw());
  }

  /** `points` are {at, p50, p90, p99}; `scope` is the time shown, in seconds since 1970. */
  show(points, budget, scope) {
    this.points = points;
    this.budget = budget;
    this.scope = scope;
    const data = [points.map((point) => point.at), ...LINES.map(({ name }) => points.map((point) => point[name]))];
    this.plot.setData(data);
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.parent;
    if (width && height) this.plot.setSize({ width, height });
  }

  options() {
    const grid = { stroke: () => style("--rule"), width: 1 };
    const axis = { stroke: () => style("--soft"), font: `12px ${style("--sans")}`, grid, ticks: { show: false } };
    const axes = this.small
      ? [{ show: false }, { show: false }]
      : [
          { ...axis, grid: { show: false }, space: 70, size: 28, gap: 8, values: (_plot, times) => this.ticks(times) },
          { ...axis, size: 46, values: (_plot, values) => values.map(String) },
        ];
    const lines = LINES.map(({ name, label, width, dash }) => ({
      label,
      width: this.small ? Math.min(width, 1.75) : width,
      dash,
      stroke: () => style(`--line-${name}`),
      spanGaps: true,
      points: { show: (plot) => plot.data[0].length < 3, size: 6, fill: () => style(`--line-${name}`) },
    }));
    return {
      width: Math.max(this.parent.clientWidth, 50),
      height: Math.max(this.parent.clientHeight, 30),
      legend: { show: false },
      cursor: { show: !this.small, points: { size: 7 }, drag: { x: false, y: false } },
      padding: this.small ? [4, 0, 4, 0] : [10, 8, 0, 0],
      scales: {
        x: { time: true, range: () => this.scope },
        y: { range: (_plot, _low, high) => [0, Math.max(high ?? 0, this.budget ?? 0, 10) * 1.12] },
      },
      axes,
      series: [{}, ...lines],
      hooks: { draw: [(plot) => this.drawBudget(plot)] },
      plugins: this.small ? [] : [readout()],
    };
  }

  ticks(times) {
    const form = this.scope[1] - this.scope[0] > 300 ? HOURS : SECONDS;
    return times.map((at) => form.format(at * 1000));
  }

  drawBudget(plot) {
    if (this.budget == null) return;
    const { ctx, bbox } = plot;
    const y = plot.valToPos(this.budget, "y", true);
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = style("--budget");
    ctx.lineWidth = (this.small ? 1 : 1.5) * ratio;
    ctx.setLineDash([1.5 * ratio, 3.5 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    if (!this.small) {
      ctx.fillStyle = style("--budget");
      ctx.font = `500 ${12 * ratio}px ${style("--sans")}`;
      ctx.textAlign = "left";
      ctx.fillText(`budget ${this.budget} ms`, bbox.left + 4 * ratio, y - 6 * ratio);
    }
    ctx.restore();
  }
}

/** The values under the pointer, in words. */
function readout() {
  const box = document.createElement("div");
  box.className = "readout";
  box.hidden = true;
  return {
    hooks: {
      init: (plot) => plot.over.append(box),
      setCursor: (plot) => {
        const { idx, left } = plot.cursor;
        box.hidden = idx == null || left < 0;
        if (box.hidden) return;
        const values = LINES.map(({ label }, at) => `${label} ${Math.round(plot.data[at + 1][idx])}`);
        const at = new Date(plot.data[0][idx] * 1000).toLocaleTimeString();
        box.textContent = `${at}   ${values.join("   ")} ms`;
        box.dataset.side = left > plot.over.clientWidth / 2 ? "left" : "right";
      },
    },
  };
}
