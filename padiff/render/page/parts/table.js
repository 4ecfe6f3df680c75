"use strict";
// Every record, and what has no partner, as rows to sort and filter.
(() => {
  const { el, records, unmatched } = page;
  const WIDTHS = "66px 44px 112px minmax(120px, 2fr) minmax(112px, 1fr) minmax(130px, 1fr) 112px 70px 76px 70px 112px";
  const NO_PARTNER = "no partner";
  const total = records.count + unmatched.count; // a row beyond the records is one of those alone
  const isRecord = (i) => i < records.count;
  const layerOf = (i) => (isRecord(i) ? records.layer(i) : unmatched.layer(i - records.count));
  const name = (i) => (isRecord(i) ? page.string(records.name(i)) : page.string(unmatched.name(i - records.count)) || `all of ${page.string(unmatched.section(i - records.count))}`);
  const kindOf = (i) => {
    if (layerOf(i) < 0) return "";
    return (page.layerSide(layerOf(i), "base") || page.layerSide(layerOf(i), "raw")).kind;
  };
  const stageOf = (i) => (isRecord(i) ? page.string(records.stage(i)) : page.string(unmatched.section(i - records.count)));
  const statusOf = (i) => {
    if (isRecord(i)) return page.level[i] === 0 ? "equal" : page.status(i);
    return page.string(unmatched.kind(i - records.count)) === "unrecorded" ? "not stored" : NO_PARTNER;
  };
  const figure = (key) => (i) => (isRecord(i) ? page.figure(key, i) : null);
  const stepOf = (i) => (isRecord(i) ? records.step(i) : unmatched.step(i - records.count));

  const COLUMNS = [
    { title: "order", of: (i) => (isRecord(i) ? records.order(i) + 1 : null), numeric: true },
    { title: "step", of: stepOf, numeric: true },
    { title: "stage", of: stageOf },
    { title: "layer", of: (i) => (layerOf(i) < 0 ? "" : page.routeOf(layerOf(i))) },
    { title: "class", of: kindOf },
    { title: "tensor", of: name },
    { title: page.scaled ? "× tolerance" : "needs atol", of: (i) => (isRecord(i) ? page.severity(i) : null), numeric: true, down: true,
      cell: (i) => (isRecord(i) ? page.badge(i) : el("span", { class: "badge none" }, `${page.string(unmatched.side(i - records.count))} only`)) },
    { title: "max abs", of: figure("max_abs"), numeric: true, down: true },
    { title: "mean abs", of: figure("mean_abs"), numeric: true, down: true },
    { title: "rel L2", of: figure("rel_l2"), numeric: true, down: true },
    { title: "out", of: figure("mismatched"), numeric: true, down: true,
      cell: (i) => (isRecord(i) && records.mismatched(i) !== null ? `${page.count(records.mismatched(i))} of ${page.count(records.size(i))}` : "–") },
  ];
  COLUMNS.forEach((column) => {
    column.cell ??= column.numeric
      ? (i) => (column.title === "order" || column.title === "step" ? String(column.of(i) ?? "–") : page.number(column.of(i)))
      : (i) => column.of(i);
  });

  let rows = [];
  let sort = { column: 0, down: false };
  const filters = { text: page.byId("filter"), stage: page.byId("stage"), status: page.byId("status") };
  const grid = page.byId("grid");

  const header = el("div", { class: "row header", role: "row", "aria-rowindex": 1 }, COLUMNS.map((column, at) =>
    el("div", { role: "columnheader", class: column.numeric ? "figure" : null },
      el("button", { type: "button", on: { click: () => sortBy(at) } }, column.title, el("span", { "aria-hidden": "true", class: "arrow" })))));
  grid.append(el("div", { class: "head-row", role: "rowgroup" }, header));
  header.style.gridTemplateColumns = WIDTHS;

  const render = (line) => {
    const i = rows[line];
    const row = el("div", { class: `row${isRecord(i) && i === page.source.first ? " first-here" : ""}`, "aria-rowindex": line + 2 },
      COLUMNS.map((column) => el("div", { role: "gridcell", class: column.numeric ? "figure" : null, title: column.numeric ? null : column.of(i) }, column.cell(i))));
    row.style.gridTemplateColumns = WIDTHS;
    return row;
  };
  const list = page.list(grid, { height: 32, render, role: "row" });

  const compare = (column, down) => {
    const value = new Map(rows.map((i) => [i, column.of(i)]));
    const sign = down ? -1 : 1;
    return (a, b) => {
      const [x, y] = [value.get(a), value.get(b)];
      if (x === null || y === null || Number.isNaN(x) || Number.isNaN(y)) { // at the end, either way
        return (x === null || Number.isNaN(x)) - (y === null || Number.isNaN(y)) || a - b;
      }
      return (x < y ? -sign : x > y ? sign : 0) || a - b;
    };
  };
  const apply = () => {
    const wanted = filters.text.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const { value: stage } = filters.stage;
    const { value: status } = filters.status;
    rows = [];
    for (let i = 0; i < total; i++) {
      if (stage && stageOf(i) !== stage) continue;
      if (status === "diverged" ? !isRecord(i) || page.level[i] < 2 : status && statusOf(i) !== status) continue;
      if (wanted.length) {
        const text = haystack(i);
        if (!wanted.every((word) => text.includes(word))) continue;
      }
      rows.push(i);
    }
    const { column, down } = sort;
    if (column || down) rows.sort(compare(COLUMNS[column], down));
    [...header.children].forEach((cell, at) => {
      cell.setAttribute("aria-sort", at === column ? (down ? "descending" : "ascending") : "none");
      cell.querySelector(".arrow").textContent = at === column ? (down ? " ▼" : " ▲") : "";
    });
    grid.setAttribute("aria-rowcount", rows.length + 1);
    page.byId("rows-found").textContent = `${page.count(rows.length)} of ${page.plural(total, "row")}`;
    list.set(rows.length);
    if (rows.length) list.move(0, { focus: false });
  };
  const sortBy = (column) => {
    sort = { column, down: sort.column === column ? !sort.down : Boolean(COLUMNS[column].down) };
    apply();
  };

  const texts = new Map();
  const haystack = (i) => {
    const layer = layerOf(i);
    if (!texts.has(layer)) {
      const sides = layer < 0 ? [] : ["base", "raw"].map((side) => page.layerSide(layer, side)).filter(Boolean);
      texts.set(layer, sides.map((side) => `${page.called(side)} ${side.kind}`).join(" ").toLowerCase());
    }
    return `${texts.get(layer)} ${name(i).toLowerCase()}`;
  };

  const fill = (select, first, of) => {
    const found = [...new Set(Array.from({ length: total }, (_, i) => of(i)))];
    select.append(...[...first, ...found.map((text) => [text, text])].map(([value, text]) => el("option", { value }, text)));
  };

  const open = (line) => {
    const layer = layerOf(rows[line]);
    if (layer >= 0) page.choose(layer, isRecord(rows[line]) ? rows[line] : null);
  };
  grid.addEventListener("click", (event) => {
    const line = list.indexOf(event.target);
    if (line >= 0) open(line);
  });
  grid.addEventListener("keydown", (event) => {
    if (list.indexOf(event.target) < 0 || list.key(event)) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      open(list.active);
    }
  });
  filters.text.addEventListener("input", page.soon(apply));
  filters.stage.addEventListener("change", apply);
  filters.status.addEventListener("change", apply);

  let made = false; // 50,000 rows are looked at when they are asked for
  page.showTable = () => {
    if (made) return list.refresh();
    made = true;
    fill(filters.stage, [["", "all"]], stageOf);
    fill(filters.status, [["", "all"], ["diverged", "all that diverged"]], statusOf);
    return apply();
  };
  // The first rows as they are sorted and filtered now, for paper: of those that diverged, if any did.
  page.printRows = (count) => {
    page.showTable();
    const titles = COLUMNS.map((column) => column.title);
    const off = rows.filter((i) => isRecord(i) && page.level[i] > 1);
    const chosen = off.length ? off : rows;
    return el("section", { class: "card" },
      el("h2", {}, `The first ${page.count(Math.min(count, chosen.length))} of ${page.plural(chosen.length, "row")}${off.length ? " that diverged" : ""}`),
      page.tableOf(titles, chosen.slice(0, count).map((i) => COLUMNS.map((column) => column.cell(i))), { class: "printed", label: "Rows" }));
  };
})();
