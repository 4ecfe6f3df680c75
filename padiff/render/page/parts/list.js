"use strict";
// A long list of which only what is in sight is in the page, and the active row, which has the focus.
page.list = (container, { height, render, role }) => {
  const inner = page.el("div", { class: "rows", role: "presentation" });
  const window_ = page.el("div", { class: "window", role: "presentation" }, inner);
  container.append(window_);
  let count = 0;
  let active = 0;
  let shown = new Map();

  const place = (index) => {
    const row = render(index);
    row.setAttribute("role", role);
    row.style.top = `${index * height}px`;
    row.style.height = `${height}px`;
    row.tabIndex = index === active ? 0 : -1;
    row.dataset.index = index;
    return row;
  };

  const draw = () => {
    const first = Math.max(0, Math.floor(window_.scrollTop / height) - 10);
    const last = Math.min(count, Math.ceil((window_.scrollTop + window_.clientHeight) / height) + 10);
    const wanted = new Set(count ? [active] : []);
    for (let i = first; i < last; i++) wanted.add(i);
    for (const [index, row] of shown) {
      if (!wanted.has(index)) {
        row.remove();
        shown.delete(index);
      }
    }
    // In order, as that is how a reader of the page without sight meets them.
    for (const index of [...wanted].sort((a, b) => a - b)) {
      if (shown.has(index)) continue;
      const row = place(index);
      let next = null;
      for (const [other, element] of shown) {
        if (other > index && (next === null || other < next[0])) next = [other, element];
      }
      inner.insertBefore(row, next && next[1]);
      shown.set(index, row);
    }
  };
  window_.addEventListener("scroll", page.soon(draw), { passive: true });
  new ResizeObserver(page.soon(draw)).observe(window_);

  const list = {
    get active() { return active; },
    get count() { return count; },
    perPage: () => Math.max(1, Math.floor(window_.clientHeight / height) - 1),
    element: (index) => shown.get(index),
    // Draw anew; rows that had the focus keep it.
    set(newCount, newActive = 0) {
      const focused = inner.contains(document.activeElement);
      count = newCount;
      active = Math.max(0, Math.min(newActive, count - 1));
      inner.style.height = `${count * height}px`;
      inner.replaceChildren();
      shown = new Map();
      draw();
      if (focused) shown.get(active)?.focus({ preventScroll: true });
    },
    refresh() { list.set(count, active); },
    move(index, { focus = true, centre = false } = {}) {
      if (!count) return;
      const before = shown.get(active);
      active = Math.max(0, Math.min(index, count - 1));
      const top = active * height;
      const visible = window_.clientHeight;
      if (centre) window_.scrollTop = top - visible / 2;
      else if (top < window_.scrollTop) window_.scrollTop = top;
      else if (top + height > window_.scrollTop + visible) window_.scrollTop = top + height - visible;
      if (before) before.tabIndex = -1;
      draw();
      const row = shown.get(active);
      row.tabIndex = 0;
      if (focus) row.focus({ preventScroll: true });
    },
    // The row that an event came from, or -1.
    indexOf(target) {
      const row = target.closest("[data-index]");
      return row && inner.contains(row) ? Number(row.dataset.index) : -1;
    },
    // Keys that every list has; true when one was taken.
    key(event) {
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: list.perPage(), PageUp: -list.perPage() };
      if (event.key in steps) list.move(active + steps[event.key]);
      else if (event.key === "Home") list.move(0);
      else if (event.key === "End") list.move(count - 1);
      else return false;
      event.preventDefault();
      return true;
    },
  };
  return list;
};
