"use strict";
// Draws the one chart of the page, and again when the system turns dark or light or the window changes.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const holder = document.getElementById("figure"), known = {};
  let room = 0;
  const draw = async () => {
    room = holder.parentElement.getBoundingClientRect().width;
    await adapt.draw(holder, read("spec"), read("themes")[dark.matches ? "dark" : "light"], known);
    document.body.dataset.ready = "yes";
  };
  dark.addEventListener("change", draw);
  new ResizeObserver(() => { if (Math.abs(holder.parentElement.getBoundingClientRect().width - room) > 4) draw(); }).observe(holder.parentElement);
})();
