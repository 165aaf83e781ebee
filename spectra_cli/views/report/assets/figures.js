"use strict";
// Draws the figures, follows the slider, and draws again when what is shown, the window or the system's look changes.
(() => {
  const { page, state, stops, visible, several, order, spectraOf, means, valueAt, extent, isWide } = spectra;
  const themes = spectra.read("themes");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const views = new Map(), known = new Map(), specs = new Map();
  const byId = (id) => document.getElementById(id);
  const DRAWN = ["trajectory", "alignment", "wave", "gradients", "timescales", "depth", "asymmetry", "rank1"];

  const embed = async (id, spec) => {
    const holder = byId(id);
    if (views.has(id)) views.get(id).finalize();
    if (!known.has(id)) known.set(id, {});
    const result = await adapt.draw(holder, spec, themes[dark.matches ? "dark" : "light"], known.get(id));
    views.set(id, result.view);
    specs.set(id, spec);
    holder.dataset.drawn = "yes";
    return result.view;
  };
  const template = (name) => structuredClone(page.templates[name]);
  const titleOf = (metric) => page.titles[metric] || metric;
  const put = (view, name, values) => {
    try { view.data(name, values); } catch { /* a chart without a line for the step chosen */ }
  };
  const cursor = () => [{ step: stops[state.stop] }];
  const walk = (spec, visit) => {
    visit(spec);
    for (const name of ["layer", "vconcat", "hconcat", "concat"]) for (const part of spec[name] || []) walk(part, visit);
    if (spec.spec) walk(spec.spec, visit);
  };
  const fill = (spec, data) => walk(spec, (part) => {
    if (part.data && data[part.data.name]) part.data.values = data[part.data.name];
  });
  // Names and scales what is shown; of several panels their common head names it once.
  const scaled = (spec, values, title, wide) => {
    const [low, high] = extent(values.map((line) => line.value));
    const labels = low < 1e-3 || high < 1e-2 ? { labelExpr: page.powers } : { format: "~g" };
    if (spec.facet && spec.facet.field === "role") spec.facet.title = title;
    walk(spec, (part) => {
      for (const [name, channel] of Object.entries(part.encoding || {}))
        if (channel.field === "value" && channel.axis !== undefined) {
          channel.title = name === "y" && spec.facet ? null : title;
          channel.scale = wide ? { ...channel.scale, type: "log" } : { ...channel.scale, zero: false };
          if (!wide) continue;
          if (name === "y") channel.axis = { tickCount: 5, ...labels };
          else channel.legend = { ...channel.legend, ...labels };
        }
    });
  };

  // What a value is shown against: nothing, the first checkpoint, or the first run at the same step.
  const compared = (lines, keyOf) => {
    const wide = isWide(lines.map((line) => line.value));
    if (state.compare === "plain") return { lines, title: titleOf(state.metric), wide };
    const first = new Map();
    for (const line of lines) {
      const key = state.compare === "first" ? `${line.run} ${keyOf(line)}` : `${line.step} ${keyOf(line)}`;
      if (!first.has(key) && (state.compare === "first" || line.index === 0)) first.set(key, line.value);
      line.key = key;
    }
    const against = lines
      .filter((line) => first.has(line.key) && (!wide || first.get(line.key) > 0))
      .map((line) => ({ ...line, value: wide ? line.value / first.get(line.key) : line.value - first.get(line.key) }));
    const whose = state.compare === "first" ? "the first checkpoint" : page.runs[0].label;
    const values = against.map((line) => line.value);
    return { lines: against, title: `${titleOf(state.metric)}, ${wide ? "over" : "less"} that of ${whose}`, wide: isWide(values) };
  };
  const collect = async (keyOf, facts) => {
    const lines = [];
    for (const index of visible()) {
      const run = page.runs[index];
      for (const group of (await means(index, state.metric, keyOf)).values())
        run.steps.forEach((step, at) => {
          const value = valueAt(group, at);
          if (value !== null) lines.push({ run: run.label, index, ...facts(group.matrix), step, revision: run.revisions[at], at, value });
        });
    }
    return lines;
  };
  const empty = (name, is) => { byId(`figure-${name}`).closest("figure").classList.toggle("nothing", is); return is; };

  const shownParts = (spec) => {
    const hidden = state.hidden.map((index) => page.runs[index].label);
    if (!hidden.length) return spec;
    for (const [name, rows] of Object.entries(spec.datasets || {})) spec.datasets[name] = rows.filter((row) => !hidden.includes(row.run));
    for (const name of ["hconcat", "vconcat"])
      if (spec[name]) spec[name] = spec[name].filter((part) => !hidden.includes(part.title?.text));
    return spec;
  };
  const fixed = async (kind) => {
    const holder = byId(`figure-${kind}`), chart = page.charts[kind];
    if (!holder || !chart) return;
    const none = !chart.runs.some((label) => !state.hidden.some((index) => page.runs[index].label === label));
    if (kind !== "rank1" && empty(kind, none)) return;
    const view = await embed(`figure-${kind}`, shownParts(structuredClone(chart.spec)));
    put(view, "cursor", cursor());
    await view.runAsync();
  };

  const course = async () => {
    const { lines, title, wide } = compared(await collect((matrix) => matrix.role, ({ role }) => ({ role })), (line) => line.role);
    if (empty("course", !lines.length)) return;
    const spec = template("course");
    fill(spec, { lines, cursor: cursor() });
    scaled(spec, lines, title, wide);
    await embed("figure-course", spec);
  };
  const heatmap = async () => {
    const ofRole = (matrix) => (matrix.role === state.role && matrix.layer !== null ? matrix.layer : null);
    const { lines, title, wide } = compared(await collect(ofRole, ({ layer }) => ({ layer })), (line) => line.layer);
    if (empty("heatmap", !lines.length)) return;
    const spec = template("heatmap");
    fill(spec, { lines, cursor: cursor() });
    scaled(spec, lines, title, wide);
    await embed("figure-heatmap", spec);
  };
  const profileLines = async () => {
    const keyOf = (matrix) => (matrix.layer === null ? null : `${matrix.role} ${matrix.layer}`);
    const every = compared(await collect(keyOf, ({ role, layer }) => ({ role, layer })), (line) => `${line.role} ${line.layer}`);
    const lines = [];
    for (const line of every.lines) {
      if (!several && line.at === 0) lines.push({ ...line, when: "first" });
      if (line.at === order(line.index)) lines.push({ ...line, when: "chosen" });
    }
    return { ...every, every: every.lines, lines };
  };
  const profile = async () => {
    const { every, lines, title, wide } = await profileLines();
    if (empty("profile", !lines.length)) return;
    const spec = template("profile");
    fill(spec, { lines });
    scaled(spec, lines, title, wide);
    const domain = extent(every.map((line) => line.value));
    walk(spec, (part) => { if (part.encoding?.y) part.encoding.y.scale = { ...part.encoding.y.scale, domain }; });
    await embed("figure-profile", spec);
  };

  const spectrumLines = async (index, name, at) => {
    const { steps, ranks, withSpectra, matrices, label } = page.runs[index];
    const row = withSpectra.findIndex((place) => matrices[place].name === name);
    const grid = ranks.length && row >= 0 ? await spectraOf(index) : null;
    if (!grid) return [];
    const values = (order_) => ranks.map((_, i) => grid[(row * steps.length + order_) * ranks.length + i]);
    const now = values(at), first = values(0);
    const length = now.findLastIndex((value) => value > 0);
    const many = state.ranks === "all" ? Infinity : Number(state.ranks);
    return ranks
      .map((rank, i) => ({ run: label, rank, value: state.show === "share" ? now[i] : now[i] / first[i], step: steps[at], share: now[i], last: i === length }))
      .filter((point) => point.value > 0 && Number.isFinite(point.value) && point.rank <= many);
  };
  const ghostLines = async (name) => {
    if (several) return [];
    const last = page.runs[0].steps.length - 1;
    const some = [...new Set([0, 1, 2, 3, 4, 5, 6].map((i) => Math.round((i * last) / 6)))];
    return (await Promise.all(some.map((at) => spectrumLines(0, name, at)))).flat().filter((point) => !point.last);
  };
  const chosenLines = async (name) => (await Promise.all(visible().map((index) => spectrumLines(index, name, order(index))))).flat();
  const lastValues = (lines) => lines.filter((line) => line.last)
    .map((line) => `${several ? `${line.run}: the` : "The"} last value, at rank ${line.rank}, is ${line.share.toExponential(2)} of the sum.`).join(" ");
  const spectrumInto = async (id, name, note) => {
    const [ghosts, every] = await Promise.all([ghostLines(name), chosenLines(name)]);
    const spec = template("spectrum"), lines = every.filter((line) => !line.last || every.length < 3);
    fill(spec, { ghosts, lines });
    const title = state.show === "share" ? "share, σᵢ/Σσ" : "share over that of the first checkpoint";
    const wide = isWide([...ghosts, ...lines].map((line) => line.value));
    walk(spec, (part) => {
      if (part.encoding?.y) { part.encoding.y.title = title; part.encoding.y.scale = wide ? { type: "log" } : { zero: false }; if (!wide) part.encoding.y.axis = {}; }
    });
    if (note) note.textContent = lastValues(every);
    return embed(id, spec);
  };
  const noteOf = (name) => byId(`figure-${name}`).closest("figure").querySelector(".note");
  const spectrum = async () => {
    if (byId("figure-spectrum")) await spectrumInto("figure-spectrum", state.matrix, noteOf("spectrum"));
  };

  const follow = async () => {
    for (const name of [...DRAWN, "course", "heatmap"]) {
      const view = views.get(`figure-${name}`);
      if (view) { put(view, "cursor", cursor()); await view.runAsync(); }
    }
    const depth = views.get("figure-profile");
    if (depth) { put(depth, "lines", (await profileLines()).lines); await depth.runAsync(); }
    const curve = views.get("figure-spectrum");
    if (curve) {
      const lines = await chosenLines(state.matrix);
      put(curve, "lines", lines.filter((line) => !line.last));
      noteOf("spectrum").textContent = lastValues(lines);
      await curve.runAsync();
    }
  };

  let work = Promise.resolve();
  const queue = (task) => { work = work.then(task).catch((error) => { console.error(error); }); return work; };
  const drawing = {
    ...Object.fromEntries(DRAWN.map((kind) => [kind, () => fixed(kind)])), course, spectrum, heatmap, profile,
  };
  const everything = async () => {
    for (const holder of document.querySelectorAll(".drawing")) {
      await drawing[holder.id.replace("figure-", "")]();
      document.body.dataset.first = "yes";
      await new Promise((done) => { setTimeout(done); }); // the page answers between two figures
    }
    document.body.dataset.ready = "yes";
  };
  spectra.listeners.push((parts) => {
    const any = (...names) => names.some((name) => parts.includes(name));
    if (any("hidden", "all")) queue(everything);
    else {
      if (any("metric", "compare")) queue(async () => { await course(); await heatmap(); await profile(); });
      else if (any("role")) queue(heatmap);
      if (any("matrix", "ranks", "show")) queue(spectrum);
      if (any("stop")) queue(follow);
    }
  });
  dark.addEventListener("change", () => queue(everything));
  let width = byId("main").clientWidth, waiting = 0;
  new ResizeObserver(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (Math.abs(byId("main").clientWidth - width) > 4) queue(everything);
      width = byId("main").clientWidth;
    }, 150);
  }).observe(byId("main"));
  Object.assign(spectra, { spectrumInto, redraw: (name) => queue(drawing[name]), specOf: (id) => specs.get(id), themes, drawn: () => work });
})();
