"use strict";
// How the two runs were compared, and what is known of each.
(() => {
  const { el, source } = page;
  const container = page.byId("settings");
  const card = (title, ...content) => el("section", { class: "card" }, el("h2", {}, title), ...content);

  const ALWAYS = ["location", "recorded"]; // differ, and that says nothing
  // A word where the two differ; what one side does not tell is no difference that is known.
  const word = (name, left, right) => {
    if (left === right || ALWAYS.includes(name)) return "";
    return left && right ? el("b", { class: "differs" }, "differs") : el("span", { class: "alone" }, left ? "base only" : "raw only");
  };
  const both = (part, label) => {
    const [base, raw] = source.sources.map((side) => new Map(side[part]));
    const names = [...new Set([...base.keys(), ...raw.keys()])].filter((name) => base.get(name) || raw.get(name));
    const rows = names.map((name) => {
      const [left, right] = [base.get(name) || "", raw.get(name) || ""];
      return [name, left || "–", right || "–", word(name, left, right)];
    });
    return rows.length ? page.tableOf(["", "base", "raw", ""], rows, { class: "sides wide", label }) : null;
  };

  const { totals } = source;
  const facts = [
    ["mode", source.mode === "mean" ? "mean: the mean error of a tensor is held against the tolerance" : "strict: the error of every element is held against the tolerance"],
    ["atol", String(source.atol)],
    ["rtol", String(source.rtol)],
    ["strict structure", source.strict_structure ? "yes: what has no partner is a divergence" : "no: what has no partner is listed"],
    ["pairs compared", page.count(totals.compared)],
    ["diverged", page.count(totals.diverged)],
    ["bit for bit equal", page.count(totals.identical)],
    ["without a partner", `${page.count(totals.unmatched_base)} in base, ${page.count(totals.unmatched_raw)} in raw`],
    ["looked at closely", page.plural(source.close_ups.length, "pair")],
    ["written by", `padiff ${source.padiff}`],
  ];
  container.append(el("div", { class: "cards" },
    card("Comparison", el("dl", { class: "facts wide" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))))),
    card("Both runs", both("source", "Sources")),
    card("Environment", both("environment", "Environment") || el("p", { class: "words" }, "Neither run recorded its environment.")),
    source.notes.length ? card("Notes", el("ul", {}, source.notes.map((note) => el("li", {}, note)))) : ""));
})();
