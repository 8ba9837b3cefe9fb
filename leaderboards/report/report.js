"use strict";
// Texts of models and data sets only ever become text nodes; nothing here makes HTML out of them.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const PAGE = 200;

  // -- light or dark ----------------------------------------------------------------------------
  const root = document.documentElement;
  const remembered = (value) => {
    try {
      if (value === undefined) return localStorage.getItem("sso-bench-theme");
      localStorage.setItem("sso-bench-theme", value);
    } catch { /* a page from a file may have no storage */ }
    return null;
  };
  const chosen = remembered();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  $("theme").addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    remembered(root.dataset.theme);
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

  // -- what both browsers share -----------------------------------------------------------------
  const own = (object, key) => (Object.hasOwn(object || {}, key) ? object[key] : undefined);
  const element = (name, text, className) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const fill = (select, values, wanted) => {
    select.replaceChildren(...values.map(([value, text]) => {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = text;
      return option;
    }));
    if (values.some(([value]) => value === wanted)) select.value = wanted;
  };
  const same = (values) => values.map((value) => [value, value]);
  const highlighted = (text, wanted) => {
    const pre = document.createElement("pre");
    const lower = text.toLowerCase();
    let from = 0;
    // Lower-casing can change the length of rare letters; then nothing is highlighted.
    for (let at = wanted && lower.length === text.length ? lower.indexOf(wanted) : -1; at >= 0; at = lower.indexOf(wanted, from)) {
      pre.append(text.slice(from, at), element("mark", text.slice(at, at + wanted.length)));
      from = at + wanted.length;
    }
    pre.append(text.slice(from));
    return pre;
  };
  // A list of entries with a detail beside it: arrow keys, a link to each entry, more on request.
  const browser = (list, name, makeDetail) => {
    let entries = [];
    let current = null;
    let shown = PAGE;
    const draw = () => {
      const lines = entries.slice(0, shown).map((entry) => {
        const line = document.createElement("li");
        const button = element("button", entry.title);
        button.type = "button";
        button.dataset.id = entry.id;
        button.setAttribute("aria-current", String(entry.id === current));
        if (entry.sign) button.append(element("span", entry.sign > 0 ? " ▲ better" : " ▼ worse", entry.sign > 0 ? "up" : "down"));
        button.addEventListener("click", () => open(entry.id, true));
        line.append(button);
        return line;
      });
      if (entries.length > shown) {
        const line = document.createElement("li");
        const more = element("button", `Show ${Math.min(PAGE, entries.length - shown)} more of ${entries.length}`, "more");
        more.type = "button";
        more.addEventListener("click", () => { shown += PAGE; draw(); });
        line.append(more);
        lines.push(line);
      }
      list.replaceChildren(...lines);
    };
    const open = (id, linked) => {
      current = id === undefined ? null : id;
      for (const button of list.querySelectorAll("button[data-id]")) {
        button.setAttribute("aria-current", String(button.dataset.id === id));
      }
      makeDetail(id);
      if (linked && id !== undefined) history.replaceState(null, "", `#${name}=${encodeURIComponent(id)}`);
    };
    list.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1, Home: -entries.length, End: entries.length }[event.key];
      if (!step || !entries.length) return;
      event.preventDefault();
      const at = entries.findIndex((entry) => entry.id === current);
      const next = Math.min(entries.length - 1, Math.max(0, at + step));
      if (next >= shown) { shown = next + PAGE; draw(); }
      open(entries[next].id, true);
      const button = list.querySelectorAll("button[data-id]")[next];
      button.focus();
    });
    return {
      show(found, wanted) {
        entries = found;
        shown = PAGE;
        const at = entries.findIndex((entry) => entry.id === (wanted === undefined ? current : wanted));
        if (at >= shown) shown = at + PAGE;
        draw();
        open(at >= 0 ? entries[at].id : entries.length ? entries[0].id : undefined, false);
      },
    };
  };

  // -- item browser -----------------------------------------------------------------------------
  const empty = { title: "", ids: [], prompts: {}, gold: {}, categories: {}, clusters: {}, checkpoints: {} };
  const benchmark = () => own(data.items, $("benchmark").value) || empty;
  const entryOf = (checkpoint, id) => own(own(benchmark().checkpoints, checkpoint), id);
  const value = (checkpoint, id) => {
    const entry = entryOf(checkpoint, id);
    return entry && entry.m !== undefined ? entry.m : null;
  };
  const change = (id) => {
    const before = value($("left").value, id);
    const after = value($("right").value, id);
    return before === null || after === null ? null : after - before;
  };
  const wantedText = (id) => $(id).value.trim().toLowerCase();
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

  const side = (checkpoint, id) => {
    const box = document.createElement("div");
    const entry = entryOf(checkpoint, id);
    box.append(element("h4", checkpoint));
    if (!entry) {
      box.append(element("p", "not evaluated", "verdict"));
      return box;
    }
    const facts = entry.w ? [entry.w] : [];
    if (entry.x !== undefined) facts.push(`extracted: ${entry.x}`);
    box.append(element("p", [...facts, ...(entry.f || [])].join(" · "), "verdict"));
    box.append(entry.a === undefined ? element("p", "The answer's text is not in this report.", "verdict") : highlighted(entry.a, wantedText("search")));
    if (entry.j !== undefined) box.append(element("h4", "The judge"), highlighted(entry.j, wantedText("search")));
    return box;
  };
  const members = (id) => {
    const cluster = own(benchmark().clusters, id);
    return cluster === undefined ? [id] : benchmark().ids.filter((other) => own(benchmark().clusters, other) === cluster);
  };
  const itemDetail = (id) => {
    const detail = $("detail");
    detail.replaceChildren();
    if (id === undefined) {
      detail.append(element("p", "No item fits.", "verdict"));
      return;
    }
    const names = $("every").checked
      ? Object.keys(benchmark().checkpoints)
      : [...new Set([$("left").value, $("right").value])];
    for (const member of members(id)) {
      const category = own(benchmark().categories, member);
      detail.append(element("h3", category ? `${member} · ${category}` : member));
      const prompt = own(benchmark().prompts, member);
      detail.append(prompt === undefined ? element("p", "The prompt's text is not in this report.", "verdict") : highlighted(prompt, wantedText("search")));
      const gold = own(benchmark().gold, member);
      if (gold !== undefined) detail.append(element("h4", "Right answer"), highlighted(gold, wantedText("search")));
      const sides = document.createElement("div");
      sides.className = "sides";
      sides.tabIndex = 0;
      sides.style.setProperty("--columns", names.length);
      sides.append(...names.map((name) => side(name, member)));
      detail.append(sides);
    }
  };
  const itemList = browser($("list"), "item", (id) => itemDetail(id));
  const show = (wanted) => {
    const text = wantedText("search");
    const kind = $("filter").value;
    const category = $("category").value;
    const ids = benchmark().ids.filter((id) =>
      passes(id, kind) && (!category || own(benchmark().categories, id) === category) && (!text || textOf(id).includes(text)));
    $("count").textContent = `${ids.length} of ${benchmark().ids.length} items`;
    itemList.show(ids.map((id) => ({ id, title: id, sign: change(id) })), wanted);
  };
  const choose = (wanted) => {
    const names = Object.keys(benchmark().checkpoints);
    const left = names.includes($("left").value) ? $("left").value : names[0];
    const right = names.includes($("right").value) && $("right").value !== left ? $("right").value : names[names.length - 1];
    fill($("left"), same(names), left);
    fill($("right"), same(names), right);
    const categories = [...new Set(Object.values(benchmark().categories))].sort();
    fill($("category"), [["", "all"], ...same(categories)], "");
    show(wanted);
  };

  // -- pair browser -----------------------------------------------------------------------------
  const pairs = () => own(data.pairs, $("pair-set").value) || [];
  // Words that only one of two answers has, by their longest common subsequence.
  const differing = (first, second) => {
    const words = [first, second].map((text) => text.split(/(\s+)/).filter((word) => word));
    const [a, b] = words;
    if (a.length * b.length > 4e6) return words.map((list) => list.map((word) => [word, false]));
    const table = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i -= 1) {
      for (let j = b.length - 1; j >= 0; j -= 1) {
        table[i][j] = a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
      }
    }
    const kept = [new Set(), new Set()];
    for (let i = 0, j = 0; i < a.length && j < b.length;) {
      if (a[i] === b[j]) { kept[0].add(i); kept[1].add(j); i += 1; j += 1; }
      else if (table[i + 1][j] >= table[i][j + 1]) i += 1;
      else j += 1;
    }
    return words.map((list, k) => list.map((word, i) => [word, !kept[k].has(i) && /\S/.test(word)]));
  };
  const marked = (words, kind) => {
    const pre = document.createElement("pre");
    for (const [word, only] of words) pre.append(only ? element(kind, word) : word);
    return pre;
  };
  const block = (title, text, wanted) => {
    const box = document.createElement("div");
    box.append(element("h4", title), highlighted(text, wanted));
    return box;
  };
  const two = (...boxes) => {
    const sides = document.createElement("div");
    sides.className = "sides";
    sides.tabIndex = 0;
    sides.style.setProperty("--columns", 2);
    sides.append(...boxes);
    return sides;
  };
  const pairDetail = (id) => {
    const detail = $("pair-detail");
    detail.replaceChildren();
    const pair = pairs().find((one) => one.id === id);
    if (!pair) {
      detail.append(element("p", "No pair fits.", "verdict"));
      return;
    }
    const wanted = wantedText("pair-search");
    detail.append(element("h3", pair.id), highlighted(pair.query || "", wanted));
    const facts = [];
    if (pair.features) facts.push(`features: ${pair.features.join(", ")}`);
    if (pair.logps) facts.push(`average log-probability: ${pair.logps.map(([name, at]) => `${name} ${at}`).join(", ")}`);
    if (facts.length) detail.append(element("p", facts.join(" · "), "verdict"));
    const verdict = [pair.result ? `Judge: ${pair.result}` : "Not judged", ...(pair.orders || [])];
    detail.append(element("p", verdict.join(" · "), "verdict"));
    if (pair.good || pair.bad) detail.append(two(block("Good principle (x+)", pair.good || "", wanted), block("Bad principle (x-)", pair.bad || "", wanted)));
    const [plus, minus] = differing(pair.chosen || "", pair.rejected || "");
    const chosen = document.createElement("div");
    chosen.append(element("h4", "y+ (chosen); words only here are marked"), marked(plus, "ins"));
    const rejected = document.createElement("div");
    rejected.append(element("h4", "y- (rejected)"), marked(minus, "del"));
    detail.append(two(chosen, rejected));
    if (pair.original) detail.append(block("yo (plain answer)", pair.original, wanted));
    for (const made of pair.generator || []) {
      detail.append(element("h4", `Pair that trained the generator, under the ${made.kind} principle`));
      detail.append(two(block("preferred", made.chosen, wanted), block("to", made.rejected, wanted)));
    }
  };
  const pairList = browser($("pair-list"), "pair", (id) => pairDetail(id));
  const showPairs = (wanted) => {
    const text = wantedText("pair-search");
    const result = $("pair-filter").value;
    const feature = $("pair-feature").value;
    const found = pairs().filter((pair) =>
      (result === "all" || pair.result === result) &&
      (!feature || (pair.features || []).includes(feature)) &&
      (!text || [pair.id, pair.query, pair.chosen, pair.rejected, pair.original].join("\n").toLowerCase().includes(text)));
    $("pair-count").textContent = `${found.length} of ${pairs().length} pairs`;
    pairList.show(found.map((pair) => ({ id: pair.id, title: pair.query ? pair.query.slice(0, 90) : pair.id })), wanted);
  };
  const choosePairs = (wanted) => {
    const features = [...new Set(pairs().flatMap((pair) => pair.features || []))].sort();
    fill($("pair-feature"), [["", "all"], ...same(features)], "");
    showPairs(wanted);
  };

  // -- start, and links to an entry -------------------------------------------------------------
  for (const form of document.querySelectorAll(".controls")) form.addEventListener("submit", (event) => event.preventDefault());
  fill($("benchmark"), Object.entries(data.items).map(([name, one]) => [name, one.title || name]));
  $("benchmark").addEventListener("change", () => choose());
  for (const name of ["left", "right", "filter", "category", "every"]) $(name).addEventListener("change", () => show());
  $("search").addEventListener("input", () => show());
  fill($("pair-set"), same(Object.keys(data.pairs)));
  $("pair-set").addEventListener("change", () => choosePairs());
  for (const name of ["pair-filter", "pair-feature"]) $(name).addEventListener("change", () => showPairs());
  $("pair-search").addEventListener("input", () => showPairs());
  const follow = () => {
    const [kind, id] = [location.hash.slice(1).split("=")[0], decodeURIComponent(location.hash.split("=").slice(1).join("="))];
    if (kind === "item") {
      const name = Object.keys(data.items).find((one) => data.items[one].ids.includes(id));
      if (name === undefined) return;
      $("benchmark").value = name;
      choose(id);
      $("items").scrollIntoView();
    } else if (kind === "pair") {
      const name = Object.keys(data.pairs).find((one) => data.pairs[one].some((pair) => pair.id === id));
      if (name === undefined) return;
      $("pair-set").value = name;
      choosePairs(id);
      $("pairs").scrollIntoView();
    }
  };
  choose();
  choosePairs();
  addEventListener("hashchange", follow);
  follow();
})();
