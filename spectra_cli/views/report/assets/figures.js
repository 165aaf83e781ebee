"use strict";
// Draws the figures, follows the slider, and draws again when the system turns dark or light.
(() => {
  const { page, state, run, spectraOf, means, valueAt, isWide } = spectra;
  const themes = spectra.read("themes");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const views = new Map();
  const byId = (id) => document.getElementById(id);

  const embed = async (id, spec) => {
    const holder = byId(id);
    if (views.has(id)) views.get(id).finalize();
    const result = await vegaEmbed(holder, spec, {
      ast: true, actions: false, renderer: "svg", config: themes[dark.matches ? "dark" : "light"],
    });
    views.set(id, result.view);
    holder.dataset.drawn = "yes";
    return result.view;
  };
  const template = (name) => structuredClone(page.templates[state.run][name]);
  const titleOf = (metric) => page.titles[metric] || metric;
  const put = (view, name, values) => {
    try { view.data(name, values); } catch { /* a chart without a line for the step chosen */ }
  };
  const step = () => run().steps[state.order];
  const cursor = () => [{ step: step() }];
  const scaled = (channel, values, metric) => {
    channel.title = titleOf(metric);
    const wide = isWide(values);
    channel.scale = wide ? { ...channel.scale, type: "log" } : { ...channel.scale, zero: false };
    if (wide && channel.axis) channel.axis = { tickCount: 5, format: "~g" };
  };
  const fill = (layers, data) => {
    for (const layer of layers) if (layer.data && data[layer.data.name]) layer.data.values = data[layer.data.name];
  };

  const fixed = async (kind) => {
    const spec = page.charts[state.run][kind], holder = byId(`figure-${kind}`);
    if (!holder) return;
    const section = holder.closest("section");
    holder.closest("figure").hidden = !spec;
    section.hidden = !section.querySelector("figure:not([hidden]), .findings");
    if (!spec) return;
    const view = await embed(`figure-${kind}`, structuredClone(spec));
    put(view, "cursor", cursor());
    await view.runAsync();
  };

  const course = async () => {
    const groups = await means(state.metric, (matrix) => matrix.role);
    const lines = [];
    for (const [role, group] of groups)
      run().steps.forEach((at, order) => {
        const value = valueAt(group, order);
        if (value !== null) lines.push({ role, step: at, revision: run().revisions[order], value });
      });
    const spec = template("course");
    fill(spec.layer, { lines, cursor: cursor() });
    scaled(spec.layer[0].encoding.y, lines.map((line) => line.value), state.metric);
    await embed("figure-course", spec);
  };

  const heatmap = async () => {
    const groups = await means(state.metric, (matrix) => (matrix.role === state.role && matrix.layer !== null ? matrix.layer : null));
    const lines = [];
    for (const [layer, group] of groups)
      run().steps.forEach((at, order) => {
        const value = valueAt(group, order);
        if (value !== null) lines.push({ layer, step: at, revision: run().revisions[order], value });
      });
    const spec = template("heatmap");
    fill(spec.layer, { lines, cursor: cursor() });
    scaled(spec.layer[0].encoding.color, lines.map((line) => line.value), state.metric);
    await embed("figure-heatmap", spec);
  };

  const profileLines = async () => {
    const groups = await means(state.metric, (matrix) => (matrix.layer === null ? null : `${matrix.role} ${matrix.layer}`));
    const lines = [];
    for (const { matrix, ...group } of groups.values())
      for (const [order, when] of [[0, "first"], [state.order, "chosen"]]) {
        const value = valueAt(group, order);
        if (value !== null) lines.push({ role: matrix.role, layer: matrix.layer, when, revision: run().revisions[order], value });
      }
    return { groups, lines };
  };
  const profile = async () => {
    const { groups, lines } = await profileLines();
    const all = [];
    for (const group of groups.values()) run().steps.forEach((_, order) => all.push(valueAt(group, order)));
    const spec = template("profile");
    spec.data.values = lines;
    const known = all.filter((value) => value !== null);
    scaled(spec.encoding.y, known, state.metric);
    if (known.length) spec.encoding.y.scale = { ...spec.encoding.y.scale, domain: [Math.min(...known), Math.max(...known)] };
    await embed("figure-profile", spec);
  };

  const spectrumLines = async (index, order) => {
    const grid = await spectraOf(state.run);
    const { steps, ranks, withSpectra } = run();
    const place = withSpectra.indexOf(index);
    if (!grid || place < 0) return [];
    const start = (place * steps.length + order) * ranks.length;
    return ranks
      .map((rank, i) => ({ rank, value: grid[start + i], step: steps[order] }))
      .filter((point) => point.value > 0);
  };
  const ghostLines = async (index) => {
    const last = run().steps.length - 1;
    const some = [...new Set([0, 1, 2, 3, 4, 5, 6].map((i) => Math.round((i * last) / 6)))];
    return (await Promise.all(some.map((order) => spectrumLines(index, order)))).flat();
  };
  const spectrumInto = async (id, index) => {
    const spec = template("spectrum");
    const [ghosts, lines] = await Promise.all([ghostLines(index), spectrumLines(index, state.order)]);
    fill(spec.layer, { ghosts, lines });
    await embed(id, spec);
  };
  const spectrum = async () => {
    const chosen = run().matrices.findIndex((matrix, index) => index === state.matrix);
    byId("figure-spectrum").closest("section").hidden = run().ranks.length === 0;
    if (run().ranks.length) await spectrumInto("figure-spectrum", chosen);
  };

  const follow = async () => {
    for (const id of ["trajectory", "alignment", "course", "heatmap", "wave", "gradients", "timescales"]) {
      const view = views.get(`figure-${id}`);
      if (view) { put(view, "cursor", cursor()); await view.runAsync(); }
    }
    const depth = views.get("figure-profile");
    if (depth) { put(depth, "lines", (await profileLines()).lines); await depth.runAsync(); }
    const curve = views.get("figure-spectrum");
    if (curve) { put(curve, "lines", await spectrumLines(state.matrix, state.order)); await curve.runAsync(); }
  };

  let work = Promise.resolve();
  const queue = (task) => { work = work.then(task).catch((error) => { console.error(error); }); return work; };
  const everything = async () => {
    await fixed("trajectory");
    document.body.dataset.first = "yes";
    await fixed("alignment");
    for (const part of [spectrum, heatmap, profile, course]) await part();
    for (const kind of ["wave", "gradients", "timescales", "depth", "asymmetry", "rank1"]) await fixed(kind);
    document.body.dataset.ready = "yes";
  };
  spectra.listeners.push((parts) => {
    if (parts.includes("run")) queue(everything);
    else if (parts.includes("metric")) queue(async () => { await heatmap(); await profile(); await course(); });
    else if (parts.includes("role")) queue(heatmap);
    if (parts.includes("matrix") && !parts.includes("run")) queue(spectrum);
    if (parts.includes("order") && !parts.includes("run")) queue(follow);
  });
  dark.addEventListener("change", () => queue(everything));
  spectra.spectrumInto = spectrumInto;
  spectra.drawn = () => work;
})();
