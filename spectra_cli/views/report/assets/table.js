"use strict";
// The table of one run's matrices and the window on one matrix. Names go into the page as text only.
(() => {
  const { page, state, numbers, shown, order: orderOf } = spectra;
  const run = () => page.runs[state.run];
  const now = () => orderOf(state.run);
  const byId = (id) => document.getElementById(id);
  const MOST_ROWS = 500;
  const SVG = "http://www.w3.org/2000/svg";
  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
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
    const grid = run().metrics.includes(state.metric) ? await numbers(state.run, state.metric) : null;
    const { matrices, steps } = run();
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const role = byId("filter-role").value;
    const found = matrices.map((matrix, place) => {
      const values = grid ? Array.from(grid.subarray(place * steps.length, (place + 1) * steps.length)) : [];
      const defined = values.filter((value) => !Number.isNaN(value));
      return { ...matrix, place, values, first: defined[0], now: values[now()], last: defined[defined.length - 1] };
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
      open.addEventListener("click", () => spectra.change({ open: row.name }));
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
    byId("head-now").textContent = `at ${spectra.stepName()}`;
  };

  const show = async (name) => {
    const place = run().matrices.findIndex((matrix) => matrix.name === name);
    const dialog = byId("matrix");
    if (place < 0) return;
    const matrix = run().matrices[place], { steps } = run();
    byId("matrix-name").textContent = matrix.name;
    byId("matrix-facts").textContent = `${run().label}: ${matrix.role}, layer ${matrix.layer === null ? "–" : matrix.layer}, ${matrix.shape}, at ${spectra.stepName()}`;
    const lines = await Promise.all(run().metrics.map(async (metric) => {
      const grid = await numbers(state.run, metric);
      const values = Array.from(grid.subarray(place * steps.length, (place + 1) * steps.length));
      const line = element("tr"), picture = element("td");
      picture.append(sparkline(values));
      line.append(element("th", metric, { scope: "row" }), ...[0, now(), steps.length - 1].map((at) => element("td", shown(values[at]), { class: "number" })), picture);
      return line;
    }));
    byId("matrix-numbers").tBodies[0].replaceChildren(...lines);
    if (!dialog.open) dialog.showModal();
    const carried = run().withSpectra.includes(place) && run().ranks.length > 0;
    byId("matrix-spectrum").hidden = !carried;
    if (carried) await spectra.spectrumInto("matrix-spectrum", name, byId("matrix-note"));
    dialog.dataset.ready = "yes";
  };
  byId("matrix").addEventListener("close", () => {
    const opened = state.open;
    spectra.change({ open: "" });
    [...document.querySelectorAll("#matrices button.name")].find((button) => button.textContent === opened)?.focus();
  });

  const roles = () => {
    const names = [...new Set(run().matrices.map((matrix) => matrix.role))];
    byId("filter-role").replaceChildren(element("option", "all roles", { value: "" }), ...names.map((name) => element("option", name, { value: name })));
  };
  spectra.listeners.push((parts) => {
    if (parts.includes("run")) roles();
    if (parts.some((part) => ["stop", "metric", "run"].includes(part))) draw();
    if (parts.includes("open") && state.open) show(state.open);
  });
  for (const id of ["filter", "filter-role"]) byId(id).addEventListener("input", draw);
  for (const head of document.querySelectorAll("#matrices thead th[data-column]"))
    head.querySelector("button").addEventListener("click", () => {
      order = { column: head.dataset.column, down: order.column === head.dataset.column && !order.down };
      draw();
    });
  byId("close").addEventListener("click", () => byId("matrix").close());
})();
