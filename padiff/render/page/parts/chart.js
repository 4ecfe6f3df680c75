"use strict";
// Error against execution order, every pair a point: the place where two runs part is a step up.
(() => {
  const GROUPS = [
    { name: "forward, inputs and loss", color: "forward", symbol: "circle", size: 8 },
    { name: "backward", color: "backward", symbol: "triangle", size: 9 },
    { name: "weights, buffers and their gradients", color: "weights", symbol: "diamond", size: 9 },
  ];
  const SMALL = 1500; // points that are all drawn, and joined by lines
  const CELLS = [280, 60]; // of the picture: of more points the worst of each series in each is drawn
  const { records, source } = page;

  const MEASURES = {
    ratio: { name: "times the tolerance", of: page.ratio, line: 1 },
    mean_abs: { name: "mean absolute error", of: (i) => page.figure("mean_abs", i), line: source.mode === "mean" ? source.atol : null },
    max_abs: { name: "largest absolute error", of: (i) => page.figure("max_abs", i), line: source.mode === "strict" ? source.atol : null },
    rel_l2: { name: "relative L2 error", of: (i) => page.figure("rel_l2", i), line: null },
  };
  const usable = Object.keys(MEASURES).filter((name) => name !== "ratio" || page.scaled);
  let measure = usable[0] === "ratio" ? "ratio" : source.mode === "mean" ? "mean_abs" : "max_abs";
  let step = "all";
  let zoom = [0, 100];

  const steps = [...new Set(Array.from({ length: records.count }, (_, i) => records.step(i)))]
    .filter((value) => value !== null);

  // Zeros stand on the floor and what is no number under the ceiling, as a logarithm has neither.
  const layOut = () => {
    const { of, line } = MEASURES[measure];
    const chosen = [];
    let low = line > 0 ? line : Infinity;
    let high = line > 0 ? line : 0;
    for (let i = 0; i < records.count; i++) {
      if (step !== "all" && String(records.step(i)) !== step) continue;
      const value = page.level[i] === 5 ? null : of(i);
      chosen.push([i, value]);
      if (value > 0 && Number.isFinite(value)) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    if (!(high > 0)) [low, high] = [1e-8, 1];
    const floor = 10 ** Math.max(-300, Math.floor(Math.log10(low)) - 1);
    const ceiling = 10 ** Math.min(300, Math.ceil(Math.log10(high) + 0.01) + 1);
    const groups = GROUPS.map(() => []);
    const broken = [];
    let zeros = 0;
    for (const [i, value] of chosen) {
      const x = records.order(i) + 1;
      if (value === 0) zeros++;
      if (value === null || !Number.isFinite(value)) broken.push([x, ceiling, i]);
      else groups[page.group(i)].push([x, value === 0 ? floor : Math.max(value, floor), i]);
    }
    const [first, last] = chosen.length ? [chosen[0][0], chosen.at(-1)[0]].map((i) => records.order(i) + 1) : [0, 1];
    const bounds = [first - 1, last + 1];
    const shown = zoom.map((share) => bounds[0] + ((bounds[1] - bounds[0]) * share) / 100);
    return { groups, broken, zeros, floor, ceiling, bounds, shown, count: chosen.length };
  };

  // What can be told apart in the part of the picture that is shown; the rest would hide beneath it.
  const thinned = (points, found) => {
    const [low, high] = found.shown;
    const scale = [CELLS[0] / (high - low), CELLS[1] / Math.log10(found.ceiling / found.floor)];
    const kept = new Map();
    for (const point of points) {
      const [x, y, i] = point;
      if (x < low || x > high) continue;
      const cell = Math.floor((x - low) * scale[0]) * 1000 + Math.round(Math.log10(y / found.floor) * scale[1]);
      const other = kept.get(cell);
      if (!other || y > other[1] || i === source.first) kept.set(cell, point);
    }
    return [...kept.values()];
  };

  // A line joins what ran right after one another, so it breaks where something else ran between.
  const joined = (points) => points.flatMap((point, at) =>
    (at && point[0] > points[at - 1][0] + 1 ? [[point[0] - 0.5, "-"], point] : [point]));

  const tip = (i) => [
    `${page.string(records.name(i))} of ${page.routeOf(records.layer(i))}`,
    [page.string(records.stage(i)), page.when(i)].filter(Boolean).join(", "),
    page.words(i),
    `max abs ${page.number(page.figure("max_abs", i))}, rel L2 ${page.number(page.figure("rel_l2", i))}`,
  ];

  const lines = (found) => {
    const { line } = MEASURES[measure];
    const label = (text, position) => ({ show: true, formatter: () => text, position, color: page.color("muted"), fontSize: 11 });
    const made = [];
    if (line > 0) {
      made.push({ yAxis: line, lineStyle: { color: page.color("bad"), type: "dashed", width: 1.5 },
        label: { ...label(`tolerance${measure === "ratio" ? "" : ` (atol ${page.number(line)})`}`, "insideStartTop"), color: page.color("bad") } });
    }
    const quiet = { color: page.color("line-strong"), type: "solid", width: 1 };
    if (step === "all" && steps.length > 1 && steps.length <= 40) {
      let before;
      for (let i = 0; i < records.count; i++) {
        if (records.step(i) !== before) {
          made.push({ xAxis: records.order(i) + 0.5, lineStyle: { ...quiet, type: "dotted" },
            label: { ...label(`step ${records.step(i)}`, "end"), rotate: 0, align: "left", distance: 4 } });
          before = records.step(i);
        }
      }
    }
    return made;
  };

  const isNarrow = () => page.byId("chart").clientWidth < 620; // the legend takes two lines then
  const firstPoint = (found) => {
    const point = [...found.groups.flat(), ...found.broken].find(([, , i]) => i === source.first);
    if (!point) return [];
    const i = source.first;
    const late = point[0] > (records.order(records.count - 1) + 1) * 0.6;
    const high = Math.log10(found.ceiling / point[1]) < 1.2;
    return [{
      type: "scatter", name: "first divergence", data: [point], z: 10, symbol: "circle", symbolSize: 20,
      itemStyle: { color: "transparent", borderColor: page.color("bad"), borderWidth: 3 },
      label: { show: true, position: late ? "left" : "right", distance: 8, offset: [0, high ? 12 : -12], width: page.byId("chart").clientWidth * 0.45, overflow: "truncate",
        formatter: () => `First divergence${isNarrow() ? "" : `: ${page.routeOf(records.layer(i))}`}`, color: page.color("bad"),
        fontWeight: 600, fontSize: 13, textBorderColor: page.color("card"), textBorderWidth: 4, align: late ? "right" : "left" },
      markLine: { silent: true, symbol: "none", lineStyle: { color: page.color("bad"), width: 1.5, type: "solid" },
        label: { show: false }, data: [{ xAxis: point[0] }] },
    }];
  };

  const option = () => {
    const found = layOut();
    const { name, line } = MEASURES[measure];
    const few = found.count <= SMALL;
    return {
      backgroundColor: "transparent",
      aria: { enabled: false },
      grid: { left: 80, right: 20, top: isNarrow() ? 66 : 44, bottom: 78 },
      legend: { top: 0, left: 0, itemWidth: 12, itemHeight: 12, textStyle: { color: page.color("ink") }, inactiveColor: page.color("muted"),
        data: [...GROUPS.map((group) => group.name), "no number"].filter((name, g) => (g < 3 ? found.groups[g].length : found.broken.length)) },
      xAxis: { type: "value", min: found.bounds[0], max: found.bounds[1], minInterval: 1, name: "execution order", nameLocation: "middle", nameGap: 24, ...page.axis(), splitLine: { show: false },
        axisLabel: { color: page.color("muted"), showMinLabel: false, showMaxLabel: false } },
      yAxis: { ...page.decades(found.floor, found.ceiling), name, nameLocation: "middle", nameGap: 62,
        axisLabel: { color: page.color("muted"), hideOverlap: true,
          formatter: (value) => {
            if (value < found.floor * 2) return found.zeros ? "no error" : "";
            if (value > found.ceiling / 2) return found.broken.length ? "no number" : "";
            return page.number(value);
          } } },
      tooltip: page.tooltip(({ data }) => (Array.isArray(data) ? tip(data[2]) : [])),
      dataZoom: [
        { type: "inside", start: zoom[0], end: zoom[1], zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, filterMode: "none" },
        { type: "slider", start: zoom[0], end: zoom[1], height: 18, bottom: 8, showDataShadow: false, brushSelect: false, filterMode: "none", showDetail: false,
          borderColor: page.color("line"), fillerColor: page.color("filler"), handleStyle: { color: page.color("card"), borderColor: page.color("line-strong") },
          moveHandleStyle: { color: page.color("line-strong") } },
      ],
      series: [
        ...GROUPS.map((group, g) => ({
          name: group.name, type: few ? "line" : "scatter", data: few ? joined(found.groups[g]) : thinned(found.groups[g], found),
          symbol: group.symbol, symbolSize: few ? group.size : 6, showSymbol: true, showAllSymbol: true,
          lineStyle: { width: 1, opacity: 0.45 }, color: page.color(group.color),
          itemStyle: { borderColor: page.color("card"), borderWidth: few ? 1 : 0 },
          ...(g === 0 ? { markLine: { silent: true, symbol: "none", data: lines(found) },
            markArea: line > 0 ? { silent: true, itemStyle: { color: page.color("bad-area") }, data: [[{ yAxis: line }, { yAxis: found.ceiling }]] } : undefined } : {}),
        })),
        { name: "no number", type: "scatter", data: few ? found.broken : thinned(found.broken, found), symbol: "rect", symbolSize: [5, 14], color: page.color("broken"),
          itemStyle: { borderColor: page.color("card"), borderWidth: 1 } },
        ...firstPoint(found),
      ],
    };
  };

  const words = () => {
    const found = layOut();
    const said = [`${page.plural(found.count, "pair")} in the order in which they ran, causes before effects.`];
    if (found.zeros) said.push(`${page.count(found.zeros)} without any error stand on the floor.`);
    if (found.broken.length) said.push(`${page.count(found.broken.length)} without a number stand at the top.`);
    if (measure === "ratio" && source.atol > 0) said.push(`1 is the tolerance: the atol that a pair would need, over the atol ${page.number(source.atol)} that was given.`);
    else if (measure === "ratio") said.push(`1 is the tolerance: the error over what rtol ${page.number(source.rtol)} allows, as atol is 0.`);
    else if (MEASURES[measure].line === null) said.push("The tolerance is no line in this measure.");
    else if (source.rtol > 0) said.push(`The line is atol alone; rtol ${page.number(source.rtol)} allows more where values are large.`);
    if (found.count > SMALL) said.push("Of points in one place the worst is drawn; zoom in to see more.");
    said.push("A click on a point opens its layer; Ctrl and the wheel zoom. The table lists the same pairs.");
    page.byId("chart-words").textContent = said.join(" ");
  };

  const zoomed = page.soon((chart) => {
    const [{ start, end }] = chart.getOption().dataZoom;
    zoom = [start, end];
    const { count } = layOut();
    if (count > SMALL) chart.setOption({ series: option().series.map(({ name, data }) => ({ name, data })) });
  });
  const draw = () => {
    page.draw(page.byId("chart"), option, {
      click: ({ data }) => Array.isArray(data) && page.choose(records.layer(data[2]), data[2]),
      datazoom: (_, chart) => zoomed(chart),
    });
    words();
  };

  const choice = (select, entries, value, change) => {
    select.append(...entries.map(([key, text]) => page.el("option", { value: key }, text)));
    select.value = value;
    select.addEventListener("change", () => {
      change(select.value);
      draw();
    });
  };
  choice(page.byId("measure"), usable.map((name) => [name, MEASURES[name].name]), measure, (value) => { measure = value; });
  choice(page.byId("step"), [["all", "all steps"], ...steps.map((value) => [String(value), `step ${value}`])], step, (value) => {
    step = value;
    zoom = [0, 100];
  });
  if (steps.length < 2) page.byId("step").parentElement.hidden = true;
  page.drawChart = draw;
})();
