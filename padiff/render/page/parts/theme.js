"use strict";
// Light and dark, and drawings that follow them.
(() => {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const drawings = new Map(); // container -> { option, chart, handlers }

  const isDark = () => (chosen ?? (system.matches ? "dark" : "light")) === "dark";
  const button = page.byId("theme");

  const redraw = (container, drawing) => {
    if (!container.clientWidth || !container.clientHeight) return; // hidden: drawn when it is shown
    if (!drawing.chart) {
      drawing.chart = echarts.init(container, null, { renderer: "canvas" });
      for (const [event, handler] of Object.entries(drawing.handlers)) {
        drawing.chart.on(event, (found) => handler(found, drawing.chart));
      }
    }
    drawing.chart.resize();
    drawing.chart.setOption({ ...drawing.option(), animation: false }, { notMerge: true });
    drawing.chart.getZr().flush();
  };

  page.show = () => {
    root.dataset.theme = isDark() ? "dark" : "light";
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Change to the ${isDark() ? "light" : "dark"} theme`);
    for (const [container, drawing] of drawings) redraw(container, drawing);
  };
  page.forceTheme = (theme) => {
    const before = chosen;
    chosen = theme;
    page.show();
    return before;
  };
  page.isDark = isDark;

  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const drawing = drawings.get(target);
      if (!drawing) continue;
      if (drawing.chart && target.clientWidth) drawing.chart.resize();
      else redraw(target, drawing);
    }
  });

  // Draw what `option` returns now, when the container is shown, and when the theme changes.
  page.draw = (container, option, handlers = {}) => {
    const drawing = drawings.get(container) || { chart: null };
    Object.assign(drawing, { option, handlers });
    if (!drawings.has(container)) {
      drawings.set(container, drawing);
      observer.observe(container);
    }
    redraw(container, drawing);
  };
  // Let go of all drawings inside an element that is about to be emptied.
  page.release = (element) => {
    for (const [container, drawing] of drawings) {
      if (!element.contains(container)) continue;
      observer.unobserve(container);
      drawing.chart?.dispose();
      drawings.delete(container);
    }
  };

  page.color = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  // What all drawings have in common.
  page.axis = () => ({
    axisLine: { lineStyle: { color: page.color("line-strong") } },
    axisTick: { lineStyle: { color: page.color("line-strong") } },
    axisLabel: { color: page.color("muted"), hideOverlap: true },
    nameTextStyle: { color: page.color("muted") },
    splitLine: { lineStyle: { color: page.color("line") } },
  });
  // A logarithmic axis in whole decades; left to itself the library labels one in ten of them.
  page.decades = (min, max) => ({
    type: "log", min, max, startValue: min, interval: Math.max(1, Math.ceil(Math.log10(max / min) / 9)), ...page.axis(),
    axisLabel: { color: page.color("muted"), hideOverlap: true, formatter: page.number },
  });
  // Tooltips are elements with text, never strings of markup.
  page.tooltip = (lines) => ({
    backgroundColor: page.color("card"),
    borderColor: page.color("line-strong"),
    textStyle: { color: page.color("ink"), fontSize: 12 },
    confine: true,
    transitionDuration: 0,
    formatter: (found) => page.el("div", { class: "tip" },
      lines(found).map((line, i) => page.el("div", { class: i ? "" : "strong" }, line))),
  });

  button.addEventListener("click", () => {
    chosen = isDark() ? "light" : "dark";
    page.show();
  });
  system.addEventListener("change", page.show);
  page.show();
})();
