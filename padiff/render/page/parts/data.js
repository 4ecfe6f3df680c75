"use strict";
// The document of the comparison: columns by name, and what is derived of them once.
(() => {
  const source = JSON.parse(page.byId("document").textContent);
  const { strings, tensors, stats, indices, stacks } = source;

  // A column that is the same throughout comes as that value alone.
  const columns = (table) => {
    const made = { count: table.count };
    for (const [name, column] of Object.entries(table)) {
      if (name !== "count") made[name] = Array.isArray(column) ? (i) => column[i] : () => column;
    }
    return made;
  };
  const asNumber = (value) => (typeof value === "string" ? Number(value) : value);
  const at = (table, index) => (index < 0 ? null : table[index]);
  const string = (index) => at(strings, index) ?? "";

  const records = columns(source.records);
  const layers = columns(source.layers);
  const unmatched = columns(source.unmatched);
  const status = (i) => string(records.status(i));

  // What is off in what was allowed: 1 is the limit, whatever the mode. Where nothing is allowed it is
  // infinite for all that differs, so that the atol that a pair needs has to tell one from another.
  const scaled = source.atol > 0 || source.rtol > 0;
  const ratio = (i) => asNumber(records.times(i));
  const size = (i) => (scaled ? ratio(i) : asNumber(records.required_atol(i)));

  // How bad, in few steps that have a word and a symbol each.
  const LEVELS = [
    ["equal", "=", "equal"],
    ["within", "✓", "within tolerance"],
    ["over", "✕", "up to 10 times the tolerance"],
    ["far", "✕", "up to 1000 times"],
    ["worst", "✕", scaled ? "over 1000 times" : "differs"],
    ["broken", "⊘", "NaN, shape or missing"],
    ["none", "·", "none compared"],
  ].map(([name, symbol, words]) => ({ name, symbol, words }));
  const NONE = 6;
  const levelOf = (i) => {
    const found = status(i);
    if (found === "match") {
      return asNumber(records.max_abs(i)) === 0 && !records.by_statistics(i) ? 0 : 1;
    }
    if (found !== "mismatch") return 5;
    const times = ratio(i);
    return times <= 10 ? 2 : times <= 1000 ? 3 : 4;
  };
  const level = Uint8Array.from({ length: records.count }, (_, i) => levelOf(i));

  // What orders the records from good to bad, beyond the level.
  const severity = (i) => level[i] * 1000 + Math.max(-400, Math.min(Math.log10(size(i) || 0), 400));

  const BROKEN = { nonfinite: "NaN or Inf", shape: "shape", missing: "missing" };
  const words = (i) => {
    const { symbol } = LEVELS[level[i]];
    if (level[i] === 0) return `${symbol} equal`;
    if (level[i] === 5) return `${symbol} ${BROKEN[status(i)] || status(i)}`;
    const times = ratio(i);
    if (level[i] === 1 && times === 0) return `${symbol} within rtol`;
    if (Number.isFinite(times)) return `${symbol} ${page.number(times)}×`;
    return `${symbol} ${records.required_atol(i) === "Infinity" ? "differs" : `atol ${page.number(asNumber(records.required_atol(i)))}`}`;
  };

  // Which series of the chart: causes and effects run forward first, then backward.
  const group = (i) => {
    if (string(records.section(i)) !== "report") return 2;
    return ["backward", "grad_output"].includes(string(records.phase(i))) ? 1 : 0;
  };

  // Records by layer, and the worst of each layer and of all inside it.
  const ofLayer = Array.from({ length: layers.count }, () => []);
  const worst = new Int32Array(layers.count).fill(-1);
  const inside = new Int32Array(layers.count).fill(-1);
  const children = Array.from({ length: layers.count }, () => []);
  const roots = [];
  const depth = new Uint16Array(layers.count);
  const worse = (a, b) => (b < 0 || (a >= 0 && severity(a) >= severity(b)) ? a : b);
  for (let i = 0; i < records.count; i++) {
    const layer = records.layer(i);
    ofLayer[layer].push(i);
    worst[layer] = worse(worst[layer], i);
  }
  for (let i = 0; i < layers.count; i++) {
    const parent = layers.parent(i);
    if (parent < 0) roots.push(i);
    else {
      children[parent].push(i);
      depth[i] = depth[parent] + 1;
    }
  }
  for (let i = layers.count - 1; i >= 0; i--) {
    const parent = layers.parent(i);
    if (parent >= 0) inside[parent] = worse(inside[parent], worse(worst[i], inside[i]));
  }
  const alone = new Map(); // layer -> what one side of it has alone
  for (let i = 0; i < unmatched.count; i++) {
    const layer = unmatched.layer(i);
    if (layer < 0) continue;
    if (!alone.has(layer)) alone.set(layer, []);
    alone.get(layer).push(i);
  }
  const closeUps = new Map(source.close_ups.map((found) => [found.record, found]));

  // One side of a layer: null where it has none.
  const layerSide = (i, side) => {
    const index = layers[`${side}_route`](i);
    if (index < 0) return null;
    return {
      route: string(index),
      kind: string(layers[`${side}_class`](i)),
      call: layers[`${side}_call`](i),
      repr: string(layers[`${side}_repr`](i)),
      training: layers[`${side}_training`](i),
      stack: (at(stacks, layers[`${side}_stack`](i)) || []).map(([file, line, name, code]) => ({
        place: `${string(file)}:${line} in ${string(name)}`, code: string(code),
      })),
    };
  };
  const called = (side) => {
    const name = side.route || "the model itself";
    return side.call ? `${name} (call ${side.call})` : name;
  };
  // The part of a route that the parent does not say.
  const ownName = (i) => {
    const side = layerSide(i, "base") ? "base" : "raw";
    const own = layerSide(i, side);
    const above = layers.parent(i) < 0 ? null : layerSide(layers.parent(i), side);
    const shown = above && above.route && own.route.startsWith(`${above.route}.`)
      ? own.route.slice(above.route.length + 1) : own.route;
    return { name: shown, kind: own.kind, call: own.call, alone: layerSide(i, "base") && layerSide(i, "raw") ? "" : side };
  };
  const tensor = (index) => {
    const found = at(tensors, index);
    return found && { dtype: string(found[0]), device: string(found[1]), shape: found[2] };
  };

  Object.assign(page, {
    source, strings, records, layers, unmatched, LEVELS, NONE,
    string, asNumber, status, scaled, ratio, size, level, severity, words, group, ofLayer, worst, inside, worse,
    children, roots, depth, alone, closeUps, layerSide, called, ownName, tensor,
    shape: (index) => at(indices, index),
    stats: (index) => at(stats, index)?.map(asNumber),
    measured: scaled ? "times the tolerance" : "atol that it needs",
    figure: (name, i) => asNumber(records[name](i)),
    routeOf: (i) => called(layerSide(i, "base") || layerSide(i, "raw")),
    when: (i) => [["step", records.step(i)], ["rank", records.rank(i)]]
      .filter(([, value]) => value !== null).map(([word, value]) => `${word} ${value}`).join(", "),
    badge: (record) => {
      const { name } = LEVELS[record < 0 ? NONE : level[record]];
      return page.el("span", { class: `badge ${name}` }, record < 0 ? "· none" : words(record));
    },
  });
})();
