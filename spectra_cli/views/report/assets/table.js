"use strict";
// The controls, the table of matrices and the window on one matrix. Names go into the page as text only.
(() => {
  const { page, state, run, numbers, shown, change } = spectra;
  const byId = (id) => document.getElementById(id);
  const MOST_ROWS = 500;
  const SVG = "http://www.w3.org/2000/svg";
  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const options = (select, entries, chosen) => {
    select.replaceChildren(...entries.map(([value, text]) => element("option", text, { value })));
    select.value = chosen;
  };
  let order = { column: "place", down: false };

  const sparkline = (values) => {
    const picture = document.createElementNS(SVG, "svg");
    picture.setAttribute("viewBox", "0 0 100 24");
    picture.setAttribute("aria-hidden", "true");
    picture.setAttribute("class", "spark");
    const known = values.filter(Number.isFinite);
    const low = Math.min(...known), high = Math.max(...known);
    const points = [];
    values.forEach((value, i) => {
      if (Number.isFinite(value)) points.push(`${(98 * i) / Math.max(1, values.length - 1) + 1},${22 - (20 * (value - low)) / (high - low || 1)}`);
    });
    const line = document.createElementNS(SVG, "polyline");
    line.setAttribute("points", points.join(" "));
    picture.append(line);
    return picture;
  };

  const rows = async () => {
    const grid = await numbers(state.run, state.metric);
    const { matrices, steps } = run();
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const role = byId("filter-role").value;
    const found = matrices.map((matrix, place) => {
      const values = grid ? Array.from(grid.subarray(place * steps.length, (place + 1) * steps.length)) : [];
      const defined = values.filter((value) => !Number.isNaN(value));
      return { ...matrix, place, values, first: defined[0], now: values[state.order], last: defined[defined.length - 1] };
    }).filter((row) => (!role || row.role === role) && words.every((word) => row.name.toLowerCase().includes(word)));
    const sign = order.down ? -1 : 1;
    const rank = (value) => (value === null || value === undefined || Number.isNaN(value) ? null : value);
    return found.sort((one, other) => {
      const a = rank(one[order.column]), b = rank(other[order.column]);
      if (a === null || b === null) return (a === null) - (b === null); // what is unknown stays below
      const compared = typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
      return sign * compared || one.place - other.place;
    });
  };

  const draw = async () => {
    const found = await rows();
    const lines = found.slice(0, MOST_ROWS).map((row) => {
      const line = element("tr");
      const name = element("th", undefined, { scope: "row" });
      const open = element("button", row.name, { type: "button", class: "name" });
      open.addEventListener("click", () => show(row.place, open));
      name.append(open);
      const course = element("td");
      course.append(sparkline(row.values));
      line.append(
        name, element("td", row.role), element("td", row.layer === null ? "–" : row.layer, { class: "number" }), element("td", row.shape),
        ...["first", "now", "last"].map((part) => element("td", shown(row[part]), { class: "number" })), course,
      );
      return line;
    });
    byId("matrices").tBodies[0].replaceChildren(...lines);
    const more = found.length > MOST_ROWS ? `, the first ${MOST_ROWS} shown` : "";
    byId("count").textContent = `${found.length} of ${run().matrices.length} matrices${more}, ${page.titles[state.metric] || state.metric}`;
    for (const head of document.querySelectorAll("#matrices thead th")) {
      const mine = head.dataset.column === order.column;
      head.setAttribute("aria-sort", mine ? (order.down ? "descending" : "ascending") : "none");
    }
    byId("head-now").textContent = `at ${stepName()}`;
  };

  const show = async (place, opener) => {
    const matrix = run().matrices[place];
    const dialog = byId("matrix");
    byId("matrix-name").textContent = matrix.name;
    byId("matrix-facts").textContent = `${matrix.role}, layer ${matrix.layer === null ? "–" : matrix.layer}, ${matrix.shape}, at ${stepName()}`;
    const lines = await Promise.all(run().metrics.map(async (metric) => {
      const grid = await numbers(state.run, metric);
      const line = element("tr");
      const at = (index) => shown(grid[place * run().steps.length + index]);
      line.append(element("th", metric, { scope: "row" }), ...[0, state.order, run().steps.length - 1].map((index) => element("td", at(index), { class: "number" })));
      return line;
    }));
    byId("matrix-numbers").tBodies[0].replaceChildren(...lines);
    dialog.showModal();
    dialog.addEventListener("close", () => opener.focus(), { once: true });
    const carried = run().withSpectra.includes(place) && run().ranks.length > 0;
    byId("matrix-spectrum").hidden = !carried;
    if (carried) await spectra.spectrumInto("matrix-spectrum", place);
    dialog.dataset.ready = "yes";
  };

  const stepName = () => (run().known ? `step ${run().steps[state.order].toLocaleString("en")}` : `checkpoint ${run().revisions[state.order]}`);
  const labelStep = () => {
    byId("step-name").textContent = stepName();
    byId("step").setAttribute("aria-valuetext", stepName());
  };

  const start = (index) => {
    const { matrices, metrics, first, steps } = page.runs[index];
    const roles = [...new Set(matrices.map((matrix) => matrix.role))];
    const layered = roles.filter((role) => matrices.some((matrix) => matrix.role === role && matrix.layer !== null));
    const metric = metrics.includes(state.metric) ? state.metric : first;
    options(byId("metric"), metrics.map((name) => [name, name]), metric);
    options(byId("role"), layered.map((name) => [name, name]), layered[0] || "");
    options(byId("filter-role"), [["", "all roles"], ...roles.map((name) => [name, name])], "");
    options(byId("chosen"), page.runs[index].withSpectra.map((place) => [place, matrices[place].name]), "");
    const matrix = page.runs[index].withSpectra.find((place) => matrices[place].role === layered[0]) ?? 0;
    byId("chosen").value = matrix;
    byId("step").max = steps.length - 1;
    byId("step").value = steps.length - 1;
    change({ run: index, order: steps.length - 1, metric, role: layered[0] || "", matrix });
  };

  spectra.listeners.push(() => { labelStep(); draw(); });
  byId("run").addEventListener("change", (event) => start(Number(event.target.value)));
  byId("step").addEventListener("input", (event) => change({ order: Number(event.target.value) }));
  byId("metric").addEventListener("change", (event) => change({ metric: event.target.value }));
  byId("role").addEventListener("change", (event) => change({ role: event.target.value }));
  byId("chosen").addEventListener("change", (event) => change({ matrix: Number(event.target.value) }));
  for (const id of ["filter", "filter-role"]) byId(id).addEventListener("input", draw);
  for (const head of document.querySelectorAll("#matrices thead th[data-column]"))
    head.querySelector("button").addEventListener("click", () => {
      order = { column: head.dataset.column, down: order.column === head.dataset.column && !order.down };
      draw();
    });
  byId("close").addEventListener("click", () => byId("matrix").close());
  options(byId("run"), page.runs.map((one, index) => [index, one.label]), 0);
  byId("run-choice").hidden = page.runs.length < 2;
  start(0);
})();
