"use strict";
// What the page knows: plain facts, numbers unpacked when first asked for, and the state that all parts follow.
const spectra = (() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const page = read("facts");
  const cache = new Map();

  // gzip in base64, in planes of bytes: see pack() in page_data.py
  const unpack = async (name) => {
    const holder = document.getElementById(`packed-${name}`);
    if (!holder) return null;
    const bytes = Uint8Array.from(atob(holder.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const count = planes.length / 4;
    const whole = new Uint8Array(planes.length);
    for (let plane = 0; plane < 4; plane += 1)
      for (let i = 0; i < count; i += 1) whole[4 * i + plane] = planes[plane * count + i];
    return new Float32Array(whole.buffer);
  };
  const unpacked = (key) => {
    if (!cache.has(key)) cache.set(key, unpack(key));
    return cache.get(key);
  };
  // By place and not by name, which comes from a file and would have to survive being written as an id.
  const numbers = (run, metric) => unpacked(`${run}-${page.runs[run].metrics.indexOf(metric)}`);
  const spectraOf = (run) => unpacked(`${run}-spectra`);

  // Where any run has a checkpoint; the slider stands at one of these, and each run shows its last one up to there.
  const stops = [...new Set(page.runs.flatMap((run) => run.steps))].sort((a, b) => a - b);
  const orderAt = (run, stop) => {
    const { steps } = page.runs[run];
    return Math.max(0, steps.findLastIndex((step) => step <= stops[stop]));
  };

  const state = {
    stop: stops.length - 1, metric: "", role: "", matrix: "", run: 0, hidden: [], compare: "plain", ranks: "all", show: "share",
  };
  const listeners = [];
  const change = (part) => {
    Object.assign(state, part);
    for (const listener of listeners) listener(Object.keys(part));
  };
  const visible = () => page.runs.map((_, index) => index).filter((index) => !state.hidden.includes(index));
  const several = page.runs.length > 1;
  const order = (run) => orderAt(run, state.stop);

  // The mean of a metric over the matrices of a run that share a key, at every checkpoint; undefined values are left out.
  const means = async (run, metric, keyOf) => {
    const found = new Map();
    if (!page.runs[run].metrics.includes(metric)) return found;
    const grid = await numbers(run, metric);
    const { matrices, steps } = page.runs[run];
    matrices.forEach((matrix, index) => {
      const key = keyOf(matrix);
      if (key === null) return;
      if (!found.has(key)) found.set(key, { matrix, sums: new Float64Array(steps.length), counts: new Float64Array(steps.length) });
      const group = found.get(key);
      for (let at = 0; at < steps.length; at += 1) {
        const value = grid[index * steps.length + at];
        if (Number.isFinite(value)) { group.sums[at] += value; group.counts[at] += 1; }
      }
    });
    return found;
  };
  const valueAt = (group, at) => (group && group.counts[at] ? group.sums[at] / group.counts[at] : null);

  const shown = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2);
    return size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
  };
  const extent = (values) => values.reduce(
    ([low, high], value) => (Number.isFinite(value) ? [Math.min(low, value), Math.max(high, value)] : [low, high]), [Infinity, -Infinity],
  );
  const isWide = (values) => {
    const [low, high] = extent(values);
    return low > 0 && high > 20 * low;
  };
  return {
    read, page, state, stops, listeners, change, visible, several, order, numbers, spectraOf, means, valueAt, shown, extent, isWide,
  };
})();
