"use strict";
// What stands under each figure: reset, the figure as SVG, PNG and CSV, its command, caption and BibTeX.
(() => {
  const { page, state, stops, visible } = spectra;
  const byId = (id) => document.getElementById(id);

  const save = (name, parts, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const onWhite = async (name, use) => {
    const away = document.createElement("div"), width = byId(`figure-${name}`).getBoundingClientRect().width;
    away.className = "away";
    away.style.width = `${width}px`;
    const inside = document.createElement("div");
    away.append(inside);
    document.body.append(away);
    const result = await adapt.draw(inside, spectra.specOf(`figure-${name}`), { ...spectra.themes.light, background: "white" });
    try { await use(result.view); } finally { result.view.finalize(); away.remove(); }
  };
  const rowsOf = (spec) => {
    const sets = Object.values(spec.datasets || {});
    const walk = (part) => {
      if (part.data?.values && part.data.name !== "cursor") sets.push(part.data.values);
      for (const name of ["layer", "vconcat", "hconcat", "concat"]) for (const inner of part[name] || []) walk(inner);
      if (part.spec) walk(part.spec);
    };
    walk(spec);
    return sets.filter((rows) => rows.length).flatMap((rows, part, all) => rows.map((row) => (all.length > 1 ? { part, ...row } : row)));
  };
  const csv = (rows) => {
    const names = [...new Set(rows.flatMap(Object.keys))].filter((name) => !["key", "index", "at"].includes(name));
    const cell = (value) => (value === null || value === undefined ? "" : /[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
    return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\n");
  };

  const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${String(word).replaceAll("'", `'"'"'`)}'`);
  const escaped = (name) => `^${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`;
  const chosen = { metric: () => state.metric, steps: () => stops[state.stop], match: () => escaped(state.matrix), roles: () => state.role };
  const command = (name) => {
    const figure = page.figures[name];
    const words = figure.choices.flatMap((choice) => [`--${choice}`, quoted(String(chosen[choice]()))]);
    return [figure.command, ...words, "-o", `${name}.png`].join(" ");
  };
  const said = { metric: () => `metric: ${page.titles[state.metric] || state.metric}`, steps: () => spectra.stepName(), match: () => `matrix: ${state.matrix}`, roles: () => `role: ${state.role}` };
  const caption = (name) => {
    const figure = page.figures[name];
    const facts = [...figure.choices.map((choice) => said[choice]()), `runs: ${visible().map((index) => page.runs[index].label).join(", ")}`];
    return `${figure.caption} ${facts.join("; ")}.`;
  };
  const spell = () => {
    for (const figure of document.querySelectorAll("figure[data-figure]")) {
      const name = figure.dataset.figure;
      figure.querySelector(".command").textContent = command(name);
      figure.querySelector(".caption").textContent = caption(name);
    }
    byId("chosen-now").textContent = `Shown: ${spectra.stepName()}; metric ${state.metric}; ${visible().map((index) => page.runs[index].label).join(", ")}.`;
  };

  const copy = async (button) => {
    const text = byId(button.getAttribute("aria-describedby")).textContent;
    try { await navigator.clipboard.writeText(text); } catch {
      const range = document.createRange();
      range.selectNodeContents(byId(button.getAttribute("aria-describedby")));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "selected";
      return;
    }
    button.textContent = "copied";
  };
  const acts = {
    reset: (name) => spectra.redraw(name),
    svg: (name) => onWhite(name, async (view) => save(`${name}.svg`, [await view.toSVG()], "image/svg+xml")),
    png: (name) => onWhite(name, async (view) => {
      const canvas = await view.toCanvas(2);
      await new Promise((done) => { canvas.toBlob((blob) => { save(`${name}.png`, [blob], "image/png"); done(); }); });
    }),
    csv: (name) => save(`${name}.csv`, [csv(rowsOf(spectra.specOf(`figure-${name}`)))], "text/csv"),
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-act]");
    if (!button) return;
    if (button.dataset.act === "copy") copy(button);
    else acts[button.dataset.act](button.closest("figure").dataset.figure);
  });
  addEventListener("beforeprint", () => { for (const fold of document.querySelectorAll("details.fold")) fold.open = true; });
  spectra.listeners.push(spell);
})();
