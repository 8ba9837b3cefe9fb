"use strict";
// Texts of models and data sets only ever become text nodes; nothing here makes HTML out of them.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);

  // -- light or dark ----------------------------------------------------------------------------
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // -- sortable tables --------------------------------------------------------------------------
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    return cell.textContent.trim();
  };
  const compare = (a, b) => {
    const numbers = typeof a === "number" && typeof b === "number";
    return numbers ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  const sort = (table, column, descending) => {
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
      const empty = (key) => key === "" || key === "-";
      rows.sort((first, second) => {
        const a = keyOf(first, column);
        const b = keyOf(second, column);
        if (empty(a) || empty(b)) return Number(empty(a)) - Number(empty(b));
        return descending ? compare(b, a) : compare(a, b);
      });
      rows.forEach((row) => body.append(row));
    }
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.tabIndex = 0;
      const toggle = () => {
        const descending = head.getAttribute("aria-sort") === "ascending" ||
          (head.classList.contains("number") && head.getAttribute("aria-sort") === null);
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, descending);
      };
      head.addEventListener("click", toggle);
      head.addEventListener("keydown", (event) => {
        if (event.key === "Enter") toggle();
      });
    });
  }

  // -- item browser -----------------------------------------------------------------------------
  const fill = (select, values, chosen) => {
    select.replaceChildren(...values.map((value) => {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = value;
      return option;
    }));
    if (values.includes(chosen)) select.value = chosen;
  };
  const own = (object, key) => (Object.hasOwn(object || {}, key) ? object[key] : undefined);
  const mainValue = (entry) => {
    const value = entry ? own(entry.v, benchmark().metric) : undefined;
    return value === undefined ? null : value;
  };
  const change = (id) => {
    const before = mainValue(entryOf($("left").value, id));
    const after = mainValue(entryOf($("right").value, id));
    return before === null || after === null ? null : after - before;
  };
  const benchmark = () => own(data, $("benchmark").value) || { ids: [], prompts: {}, categories: {}, checkpoints: {} };
  const entryOf = (checkpoint, id) => own(own(benchmark().checkpoints, checkpoint), id);
  let current = null;

  const textOf = (id) => [
    id,
    own(benchmark().prompts, id) || "",
    own(benchmark().categories, id) || "",
    ...[$("left").value, $("right").value].map((name) => (entryOf(name, id) || {}).a || ""),
  ].join("\n").toLowerCase();

  const passes = (id, kind) => {
    const delta = change(id);
    if (kind === "changed") return delta !== null && delta !== 0;
    if (kind === "better") return delta !== null && delta > 0;
    if (kind === "worse") return delta !== null && delta < 0;
    if (kind === "flagged") {
      return [$("left").value, $("right").value].some((name) => (entryOf(name, id) || {}).f);
    }
    return true;
  };

  const show = () => {
    const wanted = $("search").value.trim().toLowerCase();
    const kind = $("filter").value;
    const ids = benchmark().ids.filter((id) => passes(id, kind) && (!wanted || textOf(id).includes(wanted)));
    $("count").textContent = `${ids.length} of ${benchmark().ids.length} items`;
    $("list").replaceChildren(...ids.slice(0, 500).map((id) => {
      const line = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.id = id;
      button.textContent = id;
      const delta = change(id);
      if (delta) {
        const sign = document.createElement("span");
        sign.className = delta > 0 ? "up" : "down";
        sign.textContent = delta > 0 ? " ▲" : " ▼";
        button.append(sign);
      }
      button.addEventListener("click", () => open(id));
      line.append(button);
      return line;
    }));
    open(ids.includes(current) ? current : ids[0]);
  };

  const highlighted = (text) => {
    const pre = document.createElement("pre");
    const wanted = $("search").value.trim().toLowerCase();
    const lower = text.toLowerCase();
    let from = 0;
    // Lower-casing can change the length of rare letters; then nothing is highlighted.
    for (let at = wanted && lower.length === text.length ? lower.indexOf(wanted) : -1; at >= 0; at = lower.indexOf(wanted, from)) {
      const mark = document.createElement("mark");
      mark.textContent = text.slice(at, at + wanted.length);
      pre.append(text.slice(from, at), mark);
      from = at + wanted.length;
    }
    pre.append(text.slice(from));
    return pre;
  };

  const element = (name, text, className) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const side = (checkpoint, id) => {
    const box = document.createElement("div");
    const entry = entryOf(checkpoint, id);
    box.append(element("h4", checkpoint));
    if (!entry) {
      box.append(element("p", "not evaluated", "verdict"));
      return box;
    }
    const facts = Object.entries(entry.v).map(([name, value]) => `${name} ${value}`);
    if (entry.x !== undefined) facts.push(`extracted: ${entry.x}`);
    box.append(element("p", [...facts, ...(entry.f || [])].join(" · "), "verdict"));
    box.append(entry.a === undefined ? element("p", "The answer's text is not in this report.", "verdict") : highlighted(entry.a));
    if (entry.j !== undefined) box.append(element("h4", "The judge"), highlighted(entry.j));
    return box;
  };

  const open = (id) => {
    current = id;
    for (const button of $("list").querySelectorAll("button")) {
      button.setAttribute("aria-current", String(button.dataset.id === id));
    }
    const detail = $("detail");
    detail.replaceChildren();
    if (id === undefined) {
      detail.append(element("p", "No item fits.", "verdict"));
      return;
    }
    const category = own(benchmark().categories, id);
    detail.append(element("h3", category ? `${id} · ${category}` : id));
    const prompt = own(benchmark().prompts, id);
    detail.append(prompt === undefined ? element("p", "The prompt's text is not in this report.", "verdict") : highlighted(prompt));
    const sides = document.createElement("div");
    sides.className = "sides";
    sides.append(side($("left").value, id), side($("right").value, id));
    detail.append(sides);
  };

  const choose = () => {
    const names = Object.keys(benchmark().checkpoints);
    fill($("left"), names, names.includes($("left").value) ? $("left").value : names[0]);
    fill($("right"), names, names.includes($("right").value) && $("right").value !== $("left").value ? $("right").value : names[names.length - 1]);
    show();
  };
  fill($("benchmark"), Object.keys(data));
  $("benchmark").addEventListener("change", choose);
  for (const name of ["left", "right", "filter"]) $(name).addEventListener("change", show);
  $("search").addEventListener("input", show);
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  if (Object.keys(data).length) choose();
})();
