"use strict";
// Draws the one chart of the page, and again when the system turns dark or light.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const draw = () => vegaEmbed("#figure", read("spec"), {
    ast: true, actions: false, renderer: "svg", config: read("themes")[dark.matches ? "dark" : "light"],
  }).then(() => { document.body.dataset.ready = "yes"; });
  dark.addEventListener("change", draw);
  draw();
})();
