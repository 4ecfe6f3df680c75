"use strict";
// Small pictures of one pair of tensors, from the close look that the comparison took at it.
(() => {
  // Lightness alone tells the order, so that no colour needs to be told from another.
  const RAMPS = {
    light: ["#fbe3c0", "#f6ab61", "#e0533d", "#9b1d4e", "#3f0f5c"],
    dark: ["#3b1b6d", "#8c2981", "#de4968", "#fe9f6d", "#fcf6bf"],
  };
  page.ramp = () => RAMPS[page.isDark() ? "dark" : "light"];

  const BROKEN = "NaN or infinite on one side alone";
  // What a bar has beside its colour.
  const stripes = () => ({ symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: -Math.PI / 4, color: page.color("decal") });

  const bytesOf = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

  // The cells of a map as [column, row, log10 of the error], and those without a number.
  const cellsOf = ({ rows, columns, low, high, cells }) => {
    const bytes = bytesOf(cells);
    const measured = [];
    const broken = [];
    let zeros = 0;
    for (let i = 0; i < bytes.length; i++) {
      const place = [i % columns, Math.floor(i / columns)];
      if (bytes[i] === 255) broken.push(place);
      else if (bytes[i] === 0) zeros++;
      else measured.push([...place, (low + ((bytes[i] - 1) / 253) * (high - low)) * Math.log10(2)]);
    }
    return { measured, broken, zeros, rows, columns, bounds: [low, high].map((x) => x * Math.log10(2)) };
  };

  // Which indices one of the ranges along an axis covers: ceil(length / 64) each, the last the rest.
  const CELLS = 64;
  const rangeOf = (i, length) => {
    const size = Math.ceil(length / CELLS);
    const [first, last] = [i * size, Math.min(length, (i + 1) * size) - 1];
    return first === last ? String(first) : `${first}–${last}`;
  };
  const axisName = (axis, shape) => `axis ${axis} (of ${page.count(shape[axis])})`;

  // Where in the tensor the error sits: the largest error in each cell.
  page.heat = (container, found, shape) => {
    const map = cellsOf(found.map);
    const [rowAxis, columnAxis] = found.axes.length > 1 ? found.axes : [null, found.axes[0]];
    const places = (column, row) => [
      ...(rowAxis === null ? [] : [`axis ${rowAxis}: ${rangeOf(row, shape[rowAxis])}`]),
      `axis ${columnAxis}: ${rangeOf(column, shape[columnAxis])}`,
    ];
    const axisOf = (axis, count, name) => ({
      type: "category",
      data: Array.from({ length: count }, (_, i) => rangeOf(i, shape[axis])),
      name,
      nameLocation: "middle",
      ...page.axis(),
      splitLine: { show: false },
      axisTick: { show: false },
    });
    let [low, high] = map.bounds;
    if (high - low < 0.1) [low, high] = [low - 0.05, high + 0.05];
    page.draw(container, () => ({
      grid: { left: rowAxis === null ? 16 : 58, right: 92, top: 8, bottom: 44 },
      xAxis: { ...axisOf(columnAxis, map.columns, axisName(columnAxis, shape)), nameGap: 26 },
      yAxis: rowAxis === null
        ? { type: "category", data: [""], show: false }
        : { ...axisOf(rowAxis, map.rows, axisName(rowAxis, shape)), inverse: true, nameGap: 42 },
      tooltip: page.tooltip(({ data }) => [
        data.length > 2 ? `error up to ${page.number(10 ** data[2])}` : BROKEN,
        ...places(data[0], data[1]),
      ]),
      visualMap: {
        show: map.measured.length > 0, type: "continuous", min: low, max: high, dimension: 2, seriesIndex: 0, calculable: false,
        orient: "vertical", right: 0, top: 8, itemWidth: 12, itemHeight: Math.max(60, container.clientHeight - 110),
        text: [page.number(10 ** map.bounds[1]), page.number(10 ** map.bounds[0])],
        textStyle: { color: page.color("muted") },
        inRange: { color: page.ramp() },
      },
      series: [
        {
          type: "heatmap", name: "largest error", data: map.measured, itemStyle: { borderWidth: 0 },
          progressive: 0, // all of it at once, or what prints the page finds half a picture
        },
        {
          type: "scatter", name: "NaN or Inf", data: map.broken, symbol: "path://M0 0L8 8M8 0L0 8",
          symbolSize: 7, itemStyle: { color: "none", borderColor: page.color("broken"), borderWidth: 2 },
        },
      ],
      backgroundColor: "transparent",
    }));
    const said = ["Each cell shows the largest absolute error in its part of the tensor."];
    if (map.zeros) said.push(`${page.plural(map.zeros, "empty cell")}: no error.`);
    if (map.broken.length) said.push(`${page.plural(map.broken.length, "cell")} with a cross: ${BROKEN}.`);
    return said.join(" ");
  };

  // How many elements are off by how much, a bar for each power of two.
  page.histogram = (container, found) => {
    const bars = found.counts.map((count, i) => [page.number(2 ** (found.exponent + i)), count, 2 ** (found.exponent + i) > page.source.atol]);
    if (found.equal) bars.unshift(["equal", found.equal, false]);
    if (found.nonfinite) bars.push(["NaN, Inf", found.nonfinite, true]);
    const counts = bars.map((bar) => bar[1]).filter(Boolean);
    const wide = Math.max(...counts) / Math.min(...counts) > 50;
    page.draw(container, () => ({
      grid: { left: 56, right: 12, top: 26, bottom: 46 },
      xAxis: { type: "category", data: bars.map((bar) => bar[0]), name: "absolute error, from", nameLocation: "middle", nameGap: 28, ...page.axis() },
      yAxis: { ...(wide ? page.decades(0.1, 10 ** Math.ceil(Math.log10(Math.max(...counts)) + 0.01)) : { type: "value", ...page.axis() }), name: "elements",
        axisLabel: { color: page.color("muted"), formatter: (value) => (value < 1 ? "" : page.number(value)) } },
      tooltip: page.tooltip(({ dataIndex }) => [
        page.plural(bars[dataIndex][1], "element"),
        Number.isNaN(Number(bars[dataIndex][0])) ? bars[dataIndex][0] : `off by ${bars[dataIndex][0]} to twice that`,
      ]),
      series: [{
        type: "bar", name: "elements", barCategoryGap: "12%",
        data: bars.map(([, count, off]) => ({
          value: count || null,
          itemStyle: off
            ? { color: page.color("bad-fill"), decal: stripes() }
            : { color: page.color("forward") },
        })),
      }],
    }));
    const over = bars.filter((bar) => bar[2]).reduce((sum, bar) => sum + bar[1], 0);
    return `Striped: ${page.plural(over, "element")} with an error above atol ${page.number(page.source.atol)}, NaN and Inf included.`;
  };

  // The largest error along one axis.
  page.profile = (container, values, axis, shape) => {
    const measured = values.map(page.asNumber);
    const positive = measured.filter((value) => value > 0 && Number.isFinite(value));
    const floor = positive.length ? 10 ** (Math.floor(Math.log10(Math.min(...positive))) - 1) : 0.1;
    const top = positive.length ? 10 ** Math.ceil(Math.log10(Math.max(...positive)) + 0.01) : 1;
    page.draw(container, () => ({
      grid: { left: 56, right: 12, top: 10, bottom: 40 },
      xAxis: { type: "category", data: values.map((_, i) => rangeOf(i, shape[axis])), name: axisName(axis, shape), nameLocation: "middle", nameGap: 24, ...page.axis() },
      yAxis: page.decades(floor, top),
      tooltip: { ...page.tooltip(([{ dataIndex }]) => [
        measured[dataIndex] === 0 ? "no error" : Number.isFinite(measured[dataIndex]) ? `error up to ${page.number(measured[dataIndex])}` : BROKEN,
        `axis ${axis}: ${rangeOf(dataIndex, shape[axis])}`,
      ]), trigger: "axis" },
      series: [{ type: "bar", name: "largest error", barCategoryGap: "8%", itemStyle: { color: page.color("forward") },
        data: measured.map((value) => (Number.isFinite(value) ? value || null : { value: top, itemStyle: { color: page.color("broken"), decal: stripes() } })) }],
    }));
    return measured.some((value) => !Number.isFinite(value)) ? `Striped, up to the top: ${BROKEN}.` : "";
  };

  // One tensor over the steps; a click chooses that of a step.
  page.overSteps = (container, chosen, records) => {
    const measured = records.map((i) => (page.level[i] === 5 ? null : page.size(i)));
    const positive = [...measured, page.scaled ? 1 : null].filter((value) => value > 0 && Number.isFinite(value));
    const [least, most] = positive.length ? [Math.min(...positive), Math.max(...positive)] : [1, 1];
    const low = 10 ** (Math.floor(Math.log10(least)) - 1);
    const high = 10 ** (Math.ceil(Math.log10(most) + 0.01) + 1);
    const isNumber = (value) => value !== null && Number.isFinite(value);
    const y = (value) => (value === 0 ? low : isNumber(value) ? value : high);
    // as in the large chart, zeros stand on the floor and what is no number at the top
    const mark = (value) => {
      if (value < low * 2) return measured.includes(0) ? "no error" : "";
      if (value > high / 2) return measured.every(isNumber) ? "" : "no number";
      return page.number(value);
    };
    page.draw(container, () => ({
      grid: { left: 72, right: 16, top: 26, bottom: 40 },
      xAxis: { type: "category", data: records.map((i) => String(page.records.step(i))), name: "step", nameLocation: "middle", nameGap: 24, ...page.axis() },
      yAxis: { ...page.decades(low, high), name: page.measured, nameTextStyle: { color: page.color("muted"), align: "left" },
        axisLabel: { color: page.color("muted"), hideOverlap: true, formatter: mark } },
      tooltip: page.tooltip(({ dataIndex }) => [page.when(records[dataIndex]), page.words(records[dataIndex])]),
      series: [{ type: "line", name: "error", symbolSize: 9, itemStyle: { color: page.color("forward") },
        data: records.map((i, at) => ({ value: y(measured[at]), symbol: page.level[i] > 1 ? "diamond" : "circle", symbolSize: i === chosen ? 15 : 9 })),
        markLine: { silent: true, symbol: "none", lineStyle: { color: page.color("bad"), type: "dashed" }, label: { show: false }, data: page.scaled ? [{ yAxis: 1 }] : [] } }],
    }), { click: ({ dataIndex }) => page.choose(page.records.layer(records[dataIndex]), records[dataIndex]) });
  };
})();
