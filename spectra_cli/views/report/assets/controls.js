"use strict";
// The choices above the figures, and the address that keeps them.
(() => {
  const { page, state, stops, change, listeners, several } = spectra;
  const byId = (id) => document.getElementById(id);
  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const options = (select, entries) => select?.replaceChildren(...entries.map(([value, text]) => element("option", text, { value })));
  const unique = (values) => [...new Set(values)];

  spectra.stepName = () => {
    if (page.runs.every((run) => run.known)) return `step ${stops[state.stop].toLocaleString("en")}`;
    const { revisions } = page.runs[state.run];
    return `checkpoint ${revisions[spectra.order(state.run)]}`;
  };

  const metricNames = unique(page.runs.flatMap((run) => run.metrics));
  const layered = page.runs.flatMap((run) => run.matrices).filter((matrix) => matrix.layer !== null);
  const roles = unique(layered.map((matrix) => matrix.role));
  const matrices = unique(page.runs.flatMap((run) => run.withSpectra.map((place) => run.matrices[place].name)));

  const build = () => {
    for (const group of unique(page.metrics.map((metric) => metric.group))) {
      const box = element("optgroup", undefined, { label: group });
      const members = page.metrics.filter((metric) => metric.group === group && metricNames.includes(metric.name));
      box.append(...members.map((metric) => element("option", metric.name, { value: metric.name })));
      byId("metric").append(box);
    }
    options(byId("role"), roles.map((name) => [name, name]));
    options(byId("chosen"), matrices.map((name) => [name, name]));
    options(byId("ranks"), [["all", "all"], ["8", "first 8"], ["32", "first 32"]]);
    options(byId("against-first"), [["share", "share"], ["ratio", "over that of the first checkpoint"]]);
    options(byId("run"), page.runs.map((run, index) => [index, run.label]));
    byId("run-choice").hidden = !several;
    options(byId("compare"), [["plain", "as they are"], ["first", "against the first checkpoint"], ...(several ? [["run", `against ${page.runs[0].label}`]] : [])]);
    byId("step").max = stops.length - 1;
    if (several) {
      byId("runs").append(...page.runs.map((run, index) => {
        const label = element("label"), swatch = element("span", undefined, { class: "swatch" });
        swatch.style.background = page.colours[index];
        const box = element("input", undefined, { type: "checkbox", value: index });
        label.append(box, swatch, element("span", run.label));
        return label;
      }));
    }
    byId("runs").hidden = !several;
  };

  const show = () => {
    const values = { metric: state.metric, role: state.role, chosen: state.matrix, ranks: state.ranks, "against-first": state.show, run: state.run, compare: state.compare, step: state.stop };
    for (const [id, value] of Object.entries(values)) if (byId(id)) byId(id).value = value;
    for (const box of byId("runs").querySelectorAll("input")) box.checked = !state.hidden.includes(Number(box.value));
    byId("step-name").textContent = spectra.stepName();
    byId("step").setAttribute("aria-valuetext", spectra.stepName());
    const facts = page.metrics.find((metric) => metric.name === state.metric);
    byId("about-name").textContent = facts ? facts.title : state.metric;
    for (const part of ["meaning", "formula", "source"]) byId(`about-${part}`).textContent = facts?.[part] || "–";
  };

  // What the address keeps, as its name there, its part of the state, and what is allowed there.
  const KEPT = [
    ["metric", "metric", metricNames], ["role", "role", roles], ["matrix", "matrix", matrices], ["compare", "compare", ["plain", "first", ...(several ? ["run"] : [])]],
    ["ranks", "ranks", ["all", "8", "32"]], ["show", "show", ["share", "ratio"]],
  ];
  const read = () => {
    const given = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
    const wanted = {};
    for (const [name, part, allowed] of KEPT) if (allowed.includes(given.get(name))) wanted[part] = given.get(name);
    const stop = stops.indexOf(Number(given.get("step")));
    if (given.has("step") && stop >= 0) wanted.stop = stop;
    const run = Number(given.get("run") ?? 0);
    if (page.runs[run]) wanted.run = run;
    if (given.has("hide")) wanted.hidden = unique(given.get("hide").split(",").map(Number)).filter((index) => page.runs[index]);
    if (wanted.hidden?.length === page.runs.length) wanted.hidden = [];
    return { wanted, open: given.get("open") || "" };
  };
  const write = () => {
    const kept = new URLSearchParams(KEPT.map(([name, part]) => [name, state[part]]).filter(([, value]) => value));
    kept.set("step", stops[state.stop]);
    if (several) kept.set("run", state.run);
    if (state.hidden.length) kept.set("hide", state.hidden.join(","));
    if (state.open) kept.set("open", state.open);
    history.replaceState(null, "", `#${kept}`);
  };

  build();
  const start = () => {
    const first = page.runs[0];
    const { wanted, open } = read();
    const role = wanted.role ?? roles[0] ?? "";
    const matrix = matrices.find((name) => layered.some((one) => one.name === name && one.role === role)) ?? matrices[0] ?? "";
    change({ all: true, stop: stops.length - 1, metric: first.first, role, matrix, run: 0, hidden: [], compare: "plain", ...wanted });
    if (open) change({ open });
  };
  listeners.unshift((parts) => { show(); if (!parts.includes("all")) write(); });
  start();
  const on = (id, part, of = (value) => value) => byId(id)?.addEventListener(id === "step" ? "input" : "change", (event) => change({ [part]: of(event.target.value) }));
  on("step", "stop", Number);
  for (const name of ["metric", "role", "compare", "ranks"]) on(name, name);
  on("chosen", "matrix");
  on("against-first", "show");
  on("run", "run", Number);
  byId("runs").addEventListener("change", () => {
    const boxes = [...byId("runs").querySelectorAll("input")];
    if (boxes.every((box) => !box.checked)) { show(); return; } // one run at least stays
    change({ hidden: boxes.filter((box) => !box.checked).map((box) => Number(box.value)) });
  });
  addEventListener("hashchange", () => { if (location.hash.includes("=")) start(); });
  for (const link of document.querySelectorAll('a[href^="#"]'))
    link.addEventListener("click", (event) => {
      const target = byId(link.getAttribute("href").slice(1));
      if (!target) return;
      event.preventDefault(); // the address keeps what is chosen
      target.closest("details")?.setAttribute("open", "");
      target.scrollIntoView();
      target.focus({ preventScroll: true });
    });
})();
