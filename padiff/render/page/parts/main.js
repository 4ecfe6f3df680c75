"use strict";
// Views, the address behind the # that names what is shown, keys for the whole page, and paper.
(() => {
  const VIEWS = ["overview", "layers", "table", "settings"];
  const ROWS = 40; // on paper
  const tabs = VIEWS.map((view) => page.byId(`tab-${view}`));
  let current = { view: "", layer: -1, record: null };

  const drawLayer = () => {
    const { layer, record } = current;
    page.showLayer(layer, record);
    page.reveal(layer, page.byId("tree").contains(document.activeElement));
  };
  const show = ({ view, layer, record }) => {
    const moved = view !== current.view;
    const other = layer !== current.layer || record !== current.record;
    current = { view, layer, record };
    VIEWS.forEach((name, at) => {
      page.byId(name).hidden = name !== view;
      tabs[at].setAttribute("aria-selected", String(name === view));
      tabs[at].tabIndex = name === view ? 0 : -1;
    });
    if (view === "overview") page.drawChart();
    if (view === "layers" && (moved || other)) drawLayer();
    if (view === "table") page.showTable();
    if (moved) window.scrollTo(0, 0);
  };

  // Only numbers and names of views are taken from the address. The slash keeps a browser from
  // scrolling to the element of that name.
  const parse = () => {
    const found = /^#\/(\w+)(?:\/(\d+))?(?:\/(\d+))?$/.exec(location.hash);
    const view = found && VIEWS.includes(found[1]) ? found[1] : "overview";
    const first = page.source.first;
    const keeps = !found?.[2] && view !== "layers"; // the layers of an address without one are the first's
    let layer = keeps ? current.layer : Number(found?.[2] ?? -1);
    let record = keeps ? current.record : found?.[3] ? Number(found[3]) : null;
    if (!(layer >= 0 && layer < page.layers.count)) {
      layer = first >= 0 ? page.records.layer(first) : 0;
      record = first >= 0 ? first : null;
    }
    if (record !== null && (record >= page.records.count || page.records.layer(record) !== layer)) record = null;
    return { view, layer, record };
  };
  const go = (hash) => {
    if (location.hash === hash) show(parse());
    else location.hash = hash;
  };
  window.addEventListener("hashchange", () => show(parse()));

  // Choose a layer, and one of its records; the tree keeps the focus that it has.
  page.choose = (layer, record = null) => go(`#/layers/${layer}${record === null || record === undefined ? "" : `/${record}`}`);

  const address = (view) => (view === "layers" && current.layer >= 0
    ? `#/layers/${current.layer}${current.record === null ? "" : `/${current.record}`}` : `#/${view}`);
  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => go(address(VIEWS[at])));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: VIEWS.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = (to + VIEWS.length) % VIEWS.length;
      tabs[next].focus();
      go(address(VIEWS[next]));
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    if (current.view === "table") page.byId("filter").focus();
    else {
      go(address("layers"));
      show(parse());
      page.byId("search").focus();
    }
  });

  const [records, unmatched] = page.source.left_out;
  if (records || unmatched) {
    const words = page.byId("left-out");
    words.hidden = false;
    words.textContent = `This page leaves out ${[records ? page.plural(records, "record") : "", unmatched ? `${page.count(unmatched)} without a partner` : ""].filter(Boolean).join(" and ")} of a comparison this large: what diverged is kept first. --json has all.`;
  }

  // On paper all is light, and views that are hidden are shown: their drawings get their sizes here.
  let before;
  const printing = document.documentElement.classList;
  window.addEventListener("beforeprint", () => {
    page.byId("print-rows").replaceChildren(page.printRows(ROWS));
    printing.add("printing");
    page.showLayer(current.layer, current.record);
    page.drawChart();
    before = page.forceTheme("light");
  });
  window.addEventListener("afterprint", () => {
    printing.remove("printing");
    page.byId("print-rows").replaceChildren();
    page.forceTheme(before);
    current.view = "";
    show(parse());
  });
  page.byId("print").addEventListener("click", () => window.print());

  page.showFirst();
  show(parse());
  document.documentElement.dataset.ready = "yes";
})();
