"use strict";
// The layer tree: one line a layer, folded, searched and walked through by keys.
(() => {
  const { layers, children, roots, depth } = page;
  const container = page.byId("tree");
  const search = page.byId("search");
  const open = new Set();
  let visible = [];
  let place = new Map(); // layer -> its line
  let matched = null; // layers that the search found, or null
  let shown = null; // these and what they are in, or null
  let typed = { text: "", at: 0 };
  let chosen = -1;

  let haystack = null;
  const textOf = (i) => {
    haystack ??= Array.from({ length: layers.count }, (_, layer) =>
      ["base", "raw"].map((side) => page.layerSide(layer, side))
        .filter(Boolean).map((side) => `${side.route || "the model itself"} ${side.kind}`).join(" ").toLowerCase());
    return haystack[i];
  };

  // While searching all that was found is unfolded.
  const isOpen = (i) => (shown ? children[i].some((child) => shown.has(child)) : open.has(i));

  const above = (i) => {
    const path = [];
    for (let at = layers.parent(i); at >= 0; at = layers.parent(at)) path.push(at);
    return path;
  };

  const side = (i) => {
    const [base, raw] = [page.layerSide(i, "base"), page.layerSide(i, "raw")];
    if (!base || !raw) {
      // a part of the names in a file is no layer: nothing that was compared lacks it
      const isPart = !(base || raw).kind && !page.ofLayer[i].length && !page.alone.has(i);
      return isPart ? null : page.el("span", { class: "only" }, base ? "base only" : "raw only");
    }
    const other = [raw.route === base.route ? "" : page.called(raw), raw.kind === base.kind ? "" : raw.kind].filter(Boolean).join(" ");
    return other ? page.el("span", { class: "other" }, `raw: ${other}`) : null;
  };

  const render = (line) => {
    const i = visible[line];
    const { name, kind, call } = page.ownName(i);
    const parent = layers.parent(i);
    const siblings = parent < 0 ? roots : children[parent];
    const below = children[i].length > 0;
    const first = page.source.first >= 0 && page.records.layer(page.source.first) === i;
    const folded = below && !isOpen(i);
    const inside = folded && page.inside[i] >= 0 && page.level[page.inside[i]] > 1
      ? page.el("span", { class: "inside" }, "inside ", page.badge(page.inside[i])) : null;
    const row = page.el("div", {
      class: `node${i === chosen ? " chosen" : ""}${first ? " first-here" : ""}`,
      "aria-level": depth[i] + 1, "aria-setsize": siblings.length, "aria-posinset": siblings.indexOf(i) + 1,
      "aria-expanded": below ? String(isOpen(i)) : null, "aria-selected": String(i === chosen),
    },
    page.el("span", { class: "fold", "aria-hidden": "true" }, below ? (folded ? "▸" : "▾") : ""),
    page.el("span", { class: "names" },
      // the spaces are for who hears the line; of two that follow one another none is heard
      [page.el("span", { class: "own" }, name || kind || "the model itself"), call ? page.el("span", { class: "call" }, `call ${call}`) : null,
        name && kind ? page.el("span", { class: "class" }, kind) : null, side(i)].filter(Boolean).flatMap((part) => [part, " "])),
    first ? page.el("span", { class: "here" }, "◀ first") : null, " ",
    inside, page.badge(page.worst[i]));
    row.style.paddingLeft = `${Math.min(depth[i], 24) * 16 + 4}px`; // no style sheet knows how deep
    return row;
  };

  const list = page.list(container, { height: 30, render, role: "treeitem" });

  const lay = (active) => {
    visible = [];
    shown = matched && new Set(matched.flatMap((i) => [i, ...above(i)]));
    const left = [...roots].reverse();
    while (left.length) {
      const i = left.pop();
      if (shown && !shown.has(i)) continue;
      visible.push(i);
      if (open.has(i) || shown) for (let c = children[i].length - 1; c >= 0; c--) left.push(children[i][c]);
    }
    place = new Map(visible.map((i, line) => [i, line]));
    list.set(visible.length, place.get(active) ?? 0);
  };

  const toggle = (i, wanted = !isOpen(i)) => {
    if (!children[i].length) return;
    if (wanted) open.add(i);
    else open.delete(i);
    if (matched) endSearch();
    lay(i);
    list.move(place.get(i));
  };
  const endSearch = () => {
    matched = shown = null;
    search.value = "";
    page.byId("found").textContent = "";
  };

  page.reveal = (i, focus = false) => {
    chosen = i;
    for (const parent of above(i)) open.add(parent);
    if (matched && !place.has(i)) endSearch();
    lay(i);
    list.move(place.get(i), { focus, centre: true });
  };

  search.addEventListener("input", page.soon(() => {
    const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    matched = null;
    if (wanted.length) {
      matched = [];
      for (let i = 0; i < layers.count; i++) if (wanted.every((word) => textOf(i).includes(word))) matched.push(i);
    }
    lay(matched ? matched[0] : chosen);
    page.byId("found").textContent = matched ? `${page.count(matched.length)} of ${page.plural(layers.count, "layer")}` : "";
    if (list.count) list.move(list.active, { focus: false, centre: true });
  }));
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      if (!list.count) return;
      list.move(list.active);
      if (event.key === "Enter") page.choose(visible[list.active]);
    } else if (event.key === "Escape") {
      endSearch();
      lay(chosen);
      if (chosen >= 0) list.move(list.active, { focus: false, centre: true });
    }
  });

  container.addEventListener("click", (event) => {
    const line = list.indexOf(event.target);
    if (line < 0) return;
    const i = visible[line];
    if (event.target.classList.contains("fold") && children[i].length) return toggle(i);
    list.move(line);
    page.choose(i);
  });
  container.addEventListener("focusin", (event) => {
    const line = list.indexOf(event.target);
    if (line >= 0 && line !== list.active) list.move(line);
  });

  const typeahead = (key) => {
    const now = performance.now();
    typed = { text: now - typed.at < 700 ? typed.text + key : key, at: now };
    for (let step = typed.text.length > 1 ? 0 : 1; step <= visible.length; step++) {
      const line = (list.active + step) % visible.length;
      const { name, kind } = page.ownName(visible[line]);
      if ([name, kind].some((text) => text.toLowerCase().startsWith(typed.text))) return list.move(line);
    }
    return undefined;
  };
  container.addEventListener("keydown", (event) => {
    const i = visible[list.active];
    if (i === undefined || event.ctrlKey || event.metaKey || event.altKey || list.key(event)) return;
    const take = () => event.preventDefault();
    if (event.key === "ArrowRight") {
      take();
      if (children[i].length && !open.has(i) && !matched) toggle(i, true);
      else if (children[i].length) list.move(list.active + 1);
    } else if (event.key === "ArrowLeft") {
      take();
      if (children[i].length && open.has(i) && !matched) toggle(i, false);
      else if (layers.parent(i) >= 0) list.move(place.get(layers.parent(i)));
    } else if (event.key === "Enter" || event.key === " ") {
      take();
      page.choose(i);
    } else if (event.key === "*") {
      take();
      const parent = layers.parent(i);
      for (const sibling of parent < 0 ? roots : children[parent]) open.add(sibling);
      lay(i);
      list.move(place.get(i));
    } else if (event.key.length === 1 && event.key !== "/") {
      typeahead(event.key.toLowerCase());
    }
  });
  page.byId("to-first").addEventListener("click", () => page.choose(page.records.layer(page.source.first), page.source.first));
  page.byId("to-first").hidden = page.source.first < 0;
  page.byId("legend").append(`Worst of each layer, and ${page.scaled ? "how many times the tolerance" : "the atol that it needs"}: `,
    ...page.LEVELS.filter(({ name }) => page.scaled || !["over", "far"].includes(name)).flatMap(({ name, symbol, words }) => [page.el("span", { class: `badge ${name}` }, `${symbol} ${words}`), " "]));

  for (const root of roots) open.add(root);
  lay(-1);
})();
