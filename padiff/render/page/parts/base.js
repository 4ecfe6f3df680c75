"use strict";
// What all parts share. Every part adds to this one object, as modules cannot be loaded from a file.
const page = {};

// Nothing here makes markup of a string. Should a library try, it gets nothing.
if (window.trustedTypes) {
  window.trustedTypes.createPolicy("default", { createHTML: () => "" });
}

page.byId = (id) => document.getElementById(id);

// An element with attributes and children; strings become text, whatever they hold. Handlers are
// functions under `on`, so no attribute ever carries code.
page.el = (tag, attributes, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== "") element.append(child);
  }
  return element;
};

// A table with a header row; cells may be elements.
page.tableOf = (headers, rows, attributes) =>
  page.el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": attributes.label },
    page.el("table", { class: attributes.class },
      page.el("thead", {}, page.el("tr", {}, headers.map((text) => page.el("th", { scope: "col" }, text)))),
      page.el("tbody", {}, rows.map(([first, ...rest]) =>
        page.el("tr", {}, page.el("th", { scope: "row" }, first),
          rest.map((cell) => page.el("td", {}, cell)))))));

// Three digits, as the terminal has them.
page.number = (value) => {
  if (value === null || value === undefined) return "–";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(3)));
};

page.count = (value) => value.toLocaleString("en-US");

page.plural = (count, word) => `${page.count(count)} ${word}${count === 1 ? "" : "s"}`;

// Runs once for many calls within a frame: typing and scrolling must never wait for drawing.
page.soon = (work) => {
  let waiting = false;
  return (...given) => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work(...given);
    });
  };
};
