"use strict";
// Makes a chart fit the page: as wide as there is room, tooltips at the nearest point, zoom only with a key held.
const adapt = (() => {
  const AXIS = 78, GAP = 20, LEAST = 215, LEAST_PANEL = 330;
  const KEY = "event.ctrlKey || event.metaKey";

  // Sets widths so that the chart takes `room`, and returns how many panels share a row. extra: taken off each panel.
  const fit = (spec, room, extra = 0) => {
    if (spec.vconcat) return Math.max(...spec.vconcat.map((part) => fit(part, room, extra)));
    const parts = spec.hconcat || spec.concat;
    if (parts) {
      const columns = Math.max(1, Math.min(parts.length, spec.columns || parts.length, Math.floor(room / LEAST_PANEL)));
      delete spec.hconcat;
      delete spec.concat;
      delete spec.columns;
      const rows = [];
      for (let at = 0; at < parts.length; at += columns) rows.push(parts.slice(at, at + columns));
      // rows of hconcat, for `concat` with columns has no size under the interpreter of expressions
      if (rows.length === 1) spec.hconcat = parts;
      else spec.vconcat = rows.map((row) => (row.length === 1 ? row[0] : { hconcat: row, resolve: spec.resolve }));
      return columns * Math.max(...parts.map((part) => fit(part, (room - GAP * (columns - 1)) / columns, extra)));
    }
    if (spec.facet) {
      const columns = Math.max(1, Math.min(spec.columns || 4, Math.floor(room / LEAST)));
      spec.columns = columns;
      spec.spec.width = Math.max(80, (room - AXIS - GAP * (columns - 1)) / columns - extra);
      return columns;
    }
    spec.width = Math.max(80, room - AXIS - extra);
    return 1;
  };

  let made = 0;
  const isAlongX = (unit) => unit.mark && unit.mark.type === "line" && unit.encoding?.x?.type === "quantitative";
  const zoomOn = () => ({
    name: `zoom${(made += 1)}`,
    select: {
      type: "interval", encodings: ["x"], zoom: `wheel![${KEY}]`,
      translate: "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!",
    },
    bind: "scales",
  });
  // A line with points becomes a line and points: those catch the pointer from anywhere near.
  const split = (unit) => {
    const { point, ...mark } = unit.mark;
    const { tooltip, strokeDash, ...channels } = unit.encoding;
    const name = `near${(made += 1)}`;
    const size = (typeof point === "object" && point.size) || 16;
    const shown = point ? 1 : { condition: { param: name, empty: false, value: 1 }, value: 0 };
    const { params = [], ...rest } = unit;
    return [
      { ...rest, mark, encoding: strokeDash ? { ...channels, strokeDash } : channels },
      {
        ...rest,
        params: [...params, { name, select: { type: "point", nearest: true, on: "pointermove", clear: "pointerout" } }],
        mark: { type: "point", filled: true, clip: mark.clip ?? false },
        encoding: {
          ...channels, tooltip,
          size: { condition: { param: name, empty: false, value: 90 }, value: size },
          ...(point ? {} : { opacity: shown }),
        },
      },
    ];
  };
  const enliven = (spec, zoomed = { yes: false }) => {
    for (const name of ["vconcat", "hconcat", "concat"])
      if (spec[name]) {
        const shared = name === "vconcat" && spec.resolve?.scale?.x === "shared" ? { yes: false } : null;
        spec[name] = spec[name].map((part) => enliven(part, shared || { yes: false }));
      }
    if (spec.facet && spec.spec) spec.spec = enliven(spec.spec, zoomed);
    if (spec.mark && isAlongX(spec) && spec.encoding.tooltip && !spec.encoding.facet) {
      const { width, height, title, resolve, ...unit } = spec;
      return enliven({ ...(title && { title }), ...(width && { width }), ...(height && { height }), layer: [unit] }, zoomed);
    }
    if (spec.layer) {
      let split_one = false;
      spec.layer = spec.layer.flatMap((unit) => {
        if (split_one || !isAlongX(unit) || !unit.encoding.tooltip) return [unit];
        split_one = true;
        return split(unit);
      });
      if (split_one && !zoomed.yes) {
        zoomed.yes = true;
        const line = spec.layer.find(isAlongX);
        line.params = [...(line.params || []), zoomOn()];
      }
    }
    return spec;
  };

  // The areas that catch the pointer are invisible: nothing to tell of for who does not see either.
  const silenced = (part) => {
    for (const mark of part.marks || []) {
      if (mark.name?.endsWith("_voronoi")) mark.aria = false;
      silenced(mark);
    }
    return part;
  };

  const draw = async (holder, spec, config, known = {}) => {
    const room = Math.max(260, Math.floor(holder.parentElement.getBoundingClientRect().width) - 2);
    const options = { ast: true, actions: false, renderer: "svg", config: sized(config, room), patch: silenced };
    if (known.room !== room) Object.assign(known, { room, extra: 0 }); // what axes took at another width tells nothing
    const adapted = () => {
      const made = enliven(structuredClone(spec));
      known.columns = fit(made, room, known.extra);
      return { ...made, autosize: { type: "pad" } };
    };
    let result = await vegaEmbed(holder, adapted(), options);
    const taken = Number(holder.querySelector("svg")?.getAttribute("width")) || room;
    if (taken > room || taken < 0.97 * room) {
      known.extra += Math.ceil((taken - room) / known.columns);
      result.view.finalize();
      result = await vegaEmbed(holder, adapted(), options);
    }
    return result;
  };
  const sized = (config, room) => ({
    ...config,
    legend: { ...config.legend, columns: Math.max(2, Math.floor(room / 110)), gradientLength: Math.min(260, room - 120) },
  });
  return { draw };
})();
