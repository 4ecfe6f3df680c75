"use strict";
// What is known of one layer: its tensors, the figures of one of them, both sides, and its source.
(() => {
  const { el, records, layers } = page;
  const MANY = 200; // rows of tensors that are listed; the table has all
  const container = page.byId("detail");

  const card = (title, ...content) => el("section", { class: "card" }, el("h3", {}, title), ...content);

  const heading = (i) => {
    const [base, raw] = ["base", "raw"].map((name) => page.layerSide(i, name));
    const side = base || raw;
    const line = (label, own) => el("div", {}, el("dt", {}, label),
      el("dd", {}, own ? el("b", { class: "name" }, page.called(own)) : "no such layer", " ", own ? el("span", { class: "class" }, own.kind) : null));
    return el("header", { class: "card title" },
      el("h2", {}, page.called(side), " ", el("span", { class: "class" }, side.kind), " ", page.badge(page.worst[i])),
      el("dl", { class: "pair slim" }, line("base", base), line("raw", raw)));
  };

  // The tensors of the layer in one step, to choose from.
  const tensors = (i, chosen) => {
    const own = page.ofLayer[i];
    const steps = [...new Set(own.map((r) => records.step(r)))];
    const now = records.step(chosen);
    const rows = own.filter((r) => records.step(r) === now);
    const row = (r) => el("tr", { class: r === chosen ? "chosen" : null },
      el("th", { scope: "row" }, el("button", {
        type: "button", class: "link", "aria-pressed": String(r === chosen), on: { click: () => page.choose(i, r, null, true) },
      }, page.string(records.name(r)))),
      el("td", {}, page.string(records.stage(r)), records.rank(r) === null ? "" : `, rank ${records.rank(r)}`),
      el("td", {}, page.badge(r)),
      el("td", { class: "figure" }, page.number(page.figure("max_abs", r))),
      el("td", { class: "figure" }, page.number(page.figure("rel_l2", r))));
    const pick = el("select", {}, steps.map((step) => el("option", { value: String(step) }, `step ${step}`)));
    pick.value = String(now);
    pick.addEventListener("change", () => {
      const same = own.filter((r) => String(records.step(r)) === pick.value);
      page.choose(i, same.find((r) => records.name(r) === records.name(chosen)) ?? same[0], null, true);
    });
    return card("Tensors", steps.length > 1 ? el("label", { class: "floating" }, "Step ", pick) : null,
      el("div", { class: "scroll" }, el("table", { class: "tensors" },
        el("thead", {}, el("tr", {}, ["tensor", "stage", page.measured, "max abs", "rel L2"].map((text) => el("th", { scope: "col" }, text)))),
        el("tbody", {}, rows.slice(0, MANY).map(row)))),
      rows.length > MANY ? el("p", { class: "words" }, `${page.count(rows.length - MANY)} more are in the table.`) : null);
  };

  const figures = (r) => {
    const shown = [
      ["result", page.badge(r)],
      ["atol that would have passed", page.number(page.figure("required_atol", r))],
      ["out of tolerance", records.mismatched(r) === null ? "–" : `${page.count(records.mismatched(r))} of ${page.count(records.size(r))}`],
      ["largest absolute error", page.number(page.figure("max_abs", r))],
      ["mean absolute error", page.number(page.figure("mean_abs", r))],
      ["largest relative error", page.number(page.figure("max_rel", r))],
      ["relative L2 error", page.number(page.figure("rel_l2", r))],
      ["cosine", records.cosine(r) === null ? "–" : String(page.figure("cosine", r))],
    ];
    if (records.nonfinite(r)) shown.push(["NaN or infinite on one side", page.count(records.nonfinite(r))]);
    if (records.agreeing(r)) shown.push(["NaN or infinite alike", page.count(records.agreeing(r))]);
    for (const side of ["base", "raw"]) {
      const other = page.string(records[`${side}_layer`](r)); // as where a layer was renamed between steps
      if (other) shown.push([`layer of ${side} here`, el("span", { class: "name" }, other)]);
    }
    const note = page.string(records.note(r));
    return card(`${page.string(records.name(r))}${page.when(r) ? `, ${page.when(r)}` : ""}`,
      el("dl", { class: "facts" }, shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
      note ? el("p", { class: "note" }, note) : null,
      records.by_statistics(r) ? el("p", { class: "note" }, "Found by statistics alone: the errors are the least that they can be.") : null);
  };

  const sides = (r) => {
    const [base, raw] = ["base", "raw"].map((name) => ({ ...(page.tensor(records[name](r)) || {}), stats: page.stats(records[`${name}_stats`](r)) }));
    const rows = [
      ["shape", ...[base, raw].map(({ shape }) => (shape ? `[${shape.join(", ")}]` : "–"))],
      ["dtype", base.dtype || "–", raw.dtype || "–"],
      ["device", base.device || "–", raw.device || "–"],
      ...["min", "max", "mean", "mean of absolutes", "L2 norm", "NaN", "Inf"].map((name, at) =>
        [name, ...[base, raw].map(({ stats }) => (stats ? page.number(stats[at]) : "–"))]),
    ];
    return card("Both sides", page.tableOf(["", "base", "raw", ""], rows.map((row) => [...row, row[1] === row[2] ? "" : "≠"]),
      { class: "sides", label: "Statistics of both sides" }));
  };

  const noPicture = (r) => {
    if (page.level[r] === 0) return "Both sides are equal: there is no error to show.";
    if (records.mismatched(r) === null) return page.status(r) === "shape" ? "The shapes differ, so no element has a partner." : "One side is missing, so there is nothing to subtract.";
    if (records.by_statistics(r)) return "One side has no elements, only their statistics.";
    if (!page.source.close_ups.length) return "No tensor was looked at closely in this comparison.";
    return `Not among the ${page.plural(page.source.close_ups.length, "pair")} that were looked at closely, the ones that are off most and the first of them.`;
  };

  const worst = (found) => page.tableOf(["index", "base", "raw"],
    found.worst.map(([index, base, raw]) => [`[${index.join(", ")}]`, base, raw]), { class: "elements", label: "Worst elements" });

  // Pictures are drawn when their elements are in the page, as they need a size.
  const pictures = (r) => {
    const found = page.closeUps.get(r);
    const drawn = [];
    if (!found) return { cards: [card("Where the error sits", el("p", { class: "words" }, noPicture(r)))], draw: () => {} };
    const { shape } = page.tensor(records.base(r));
    const plot = (size, label, draw) => {
      const place = el("div", { class: `plot ${size}`, role: "img", "aria-label": label });
      const words = el("p", { class: "words" });
      drawn.push(() => words.append(draw(place) || ""));
      return [place, words];
    };
    const cards = [];
    if (found.axes.length) {
      cards.push(card("Where the error sits", ...plot(found.axes.length > 1 ? "map" : "strip", "Heat map of the largest errors", (place) => page.heat(place, found, shape))));
    }
    if (found.counts.length || found.nonfinite) {
      cards.push(card("How many elements are off by how much", ...plot("medium", "Histogram of absolute errors", (place) => page.histogram(place, found))));
    }
    if (found.worst.length) cards.push(card("Worst elements", worst(found)));
    const axes = found.profiles.map((values, axis) => [values, axis]).filter(([values]) => values.length > 1);
    if (axes.length > 1) {
      cards.push(card("Largest error along each axis", ...axes.slice(0, 6).flatMap(([values, axis]) =>
        plot("low", `Largest error along axis ${axis}`, (place) => page.profile(place, values, axis, shape)))));
    }
    return { cards, draw: () => drawn.forEach((draw) => draw()) };
  };

  const steps = (i, r) => {
    const same = page.ofLayer[i].filter((other) => ["name", "section", "rank"].every((name) => records[name](other) === records[name](r)));
    if (same.length < 2) return null;
    const place = el("div", { class: "plot medium", role: "img", "aria-label": "Error of this tensor over the steps" });
    return { card: card("Over the steps", place, el("p", { class: "words" }, `${page.scaled ? "The dashed line is the tolerance; d" : "D"}iamonds are out of tolerance.`)), draw: () => page.overSteps(place, r, same) };
  };

  const source = (i) => {
    const side = (name) => {
      const own = page.layerSide(i, name);
      if (!own) return null;
      const mode = own.training === null ? "" : own.training ? "in training mode" : "in evaluation mode";
      return el("div", { class: "code" }, el("h4", {}, name, " ", el("small", {}, mode)),
        own.repr ? el("pre", {}, own.repr) : null,
        own.stack.map(({ place, code }) => el("div", { class: "frame" }, code ? el("code", {}, code) : null, el("small", {}, place))),
        own.stack.length ? null : el("p", { class: "words" }, "No source lines were recorded."));
    };
    return card("Source and settings", el("div", { class: "two" }, side("base"), side("raw")));
  };

  const lone = (i) => {
    const items = page.alone.get(i);
    if (!items) return null;
    const { unmatched } = page;
    return card("Without a partner, or not stored", el("ul", {}, items.slice(0, MANY).map((u) => {
      const when = [unmatched.step(u) === null ? "" : `step ${unmatched.step(u)}`, unmatched.rank(u) === null ? "" : `rank ${unmatched.rank(u)}`];
      const reason = page.string(unmatched.reason(u));
      return el("li", {}, [page.string(unmatched.side(u)), page.string(unmatched.name(u)) || "the layer", `in ${page.string(unmatched.section(u))}`, ...when].filter(Boolean).join(", "), reason ? `: ${reason}` : "");
    })));
  };

  page.showLayer = (i, record) => {
    page.release(container);
    const r = record ?? page.worst[i];
    const grid = el("div", { class: "cards" });
    container.replaceChildren(heading(i), ...(r < 0 ? [] : [tensors(i, r)]), grid);
    container.scrollTop = 0;
    if (r < 0) {
      grid.append(...[lone(i), source(i)].filter(Boolean));
      return;
    }
    const seen = pictures(r);
    const over = steps(i, r);
    const [where, ...others] = seen.cards;
    grid.append(...[where, figures(r), sides(r), ...others, over?.card, source(i), lone(i)].filter(Boolean));
    seen.draw();
    over?.draw();
  };

  // Beside the sentences on the first divergence: where in its tensor the error sits.
  page.showFirst = () => {
    const { first } = page.source;
    if (first < 0) return;
    const place = page.byId("first-picture");
    const found = page.closeUps.get(first);
    const more = el("button", { type: "button", class: "primary", on: { click: () => page.choose(records.layer(first), first) } }, "Open this layer");
    page.byId("first").prepend(el("p", { class: "actions" }, more));
    if (!found || !found.axes.length) return;
    const plot = el("div", { class: "plot map", role: "img", "aria-label": "Heat map of the errors of the first divergence" });
    place.append(el("h2", {}, "Where in the tensor the error sits"), plot);
    place.hidden = false;
    const words = el("p", { class: "words" });
    place.append(words);
    words.append(page.heat(plot, found, page.tensor(records.base(first)).shape));
  };
})();
