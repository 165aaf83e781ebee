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

  const state = { run: 0, order: 0, metric: "", role: "", matrix: 0 };
  const listeners = [];
  const change = (part) => {
    Object.assign(state, part);
    for (const listener of listeners) listener(Object.keys(part));
  };
  const run = () => page.runs[state.run];

  // The mean of a metric over the matrices that share a key, at every checkpoint; undefined values are left out.
  const means = async (metric, keyOf) => {
    const grid = await numbers(state.run, metric);
    const { matrices, steps } = run();
    const found = new Map();
    if (!grid) return found;
    matrices.forEach((matrix, index) => {
      const key = keyOf(matrix);
      if (key === null) return;
      if (!found.has(key)) found.set(key, { matrix, sums: new Float64Array(steps.length), counts: new Float64Array(steps.length) });
      const group = found.get(key);
      for (let order = 0; order < steps.length; order += 1) {
        const value = grid[index * steps.length + order];
        if (Number.isFinite(value)) { group.sums[order] += value; group.counts[order] += 1; }
      }
    });
    return found;
  };
  const valueAt = (group, order) => (group.counts[order] ? group.sums[order] / group.counts[order] : null);

  const shown = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2);
    return size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
  };
  const isWide = (values) => {
    const found = values.filter(Number.isFinite);
    const low = Math.min(...found);
    return found.length > 0 && low > 0 && Math.max(...found) > 20 * low;
  };
  return { read, page, state, listeners, change, run, numbers, spectraOf, means, valueAt, shown, isWide };
})();
