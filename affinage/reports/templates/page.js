"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const list = find("rows");
  const rows = Array.from(list.children, (element) => ({
    element,
    keys: JSON.parse(element.dataset.keys),
    flags: element.dataset.flags.split(" "),
    columns: JSON.parse(element.dataset.columns),
    text: null,
  }));
  const search = find("search"), filter = find("filter"), sort = find("sort"), direction = find("direction");
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  let shown = rows, current = null;

  // search and filter ------------------------------------------------------------------------------------------------
  const texts = (row) => row.element.querySelectorAll(".text");
  const fold = (text) => text.normalize("NFKC").toLowerCase();

  const columns = Array.from(document.querySelectorAll("select.column"));
  const narrowed = () => columns.filter((column) => column.value !== "");
  const has = (row, column) => row.columns[column.dataset.place].includes(Number(column.value));

  function matches(row, words) {
    if (filter.value && !row.flags.includes(filter.value)) return false;
    if (!words.length) return true;
    row.text ??= fold(Array.from(texts(row), (part) => part.textContent).join("\n"));
    return words.every((word) => row.text.includes(word));
  }

  // beside each option of a column: how many rows it would leave, after everything else that is chosen
  function recount(candidates) {
    for (const column of columns) {
      const others = narrowed().filter((other) => other !== column);
      const counts = new Array(column.options.length - 1).fill(0);
      for (const row of candidates) {
        if (others.every((other) => has(row, other))) for (const place of row.columns[column.dataset.place]) counts[place]++;
      }
      counts.forEach((count, place) => {
        const option = column.options[place + 1];
        option.text = `${option.dataset.words} (${count})`;
      });
    }
  }

  function narrow() {
    const words = fold(search.value).split(/\s+/).filter(Boolean);
    const candidates = rows.filter((row) => matches(row, words)), chosen = narrowed(), kept = new Set();
    for (const row of candidates) if (chosen.every((column) => has(row, column))) kept.add(row);
    recount(candidates);
    shown = rows.filter((row) => {
      const keep = kept.has(row);
      if (row.element.hidden === keep) row.element.hidden = !keep;
      return keep;
    });
    find("count").value = shown.length === rows.length ? `${rows.length} rows` : `${shown.length} of ${rows.length} rows`;
    find("nothing").hidden = shown.length > 0;
    if (current === null || current.element.hidden) choose(shown[0] ?? null);
    paint(words);
  }

  // found words are painted without touching the document; only where rows are few enough to be looked at
  function paint(words) {
    if (!("highlights" in CSS)) return;
    CSS.highlights.delete("found");
    if (!words.length) return;
    const ranges = [];
    for (const row of shown.slice(0, 200)) {
      for (const part of texts(row)) {
        const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
          const node = walker.currentNode, text = node.data.toLowerCase();
          if (text.length !== node.data.length) continue; // lower case moved the places
          for (const word of words) {
            for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
              const range = new Range();
              range.setStart(node, at);
              range.setEnd(node, at + word.length);
              ranges.push(range);
            }
          }
        }
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  }

  // order ------------------------------------------------------------------------------------------------------------
  function order() {
    const place = Number(sort.value), down = direction.getAttribute("aria-pressed") === "true";
    const number = rows.every((row) => row.keys[place] === "" || !Number.isNaN(Number(row.keys[place])));
    const compare = number ? (a, b) => a - b : collator.compare;
    rows.sort((a, b) => {
      const first = a.keys[place], second = b.keys[place];
      if (first === "" || second === "") return (first === "") - (second === ""); // what has no value comes last
      return (down ? -1 : 1) * compare(first, second) || a.keys[0] - b.keys[0];
    });
    list.replaceChildren(...rows.map((row) => row.element));
    const column = sort.selectedOptions[0].dataset.column;
    for (const button of document.querySelectorAll("[data-column]:is(button)")) {
      const header = button.parentElement;
      if (button.dataset.column === column) header.setAttribute("aria-sort", down ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    }
    direction.firstElementChild.textContent = down ? "↓" : "↑";
    narrow();
  }

  function turn(down) {
    direction.setAttribute("aria-pressed", String(down));
    order();
  }

  for (const button of document.querySelectorAll("button[data-column]")) {
    button.addEventListener("click", () => {
      const wanted = Array.from(sort.options).findIndex((option) => option.dataset.column === button.dataset.column);
      if (sort.selectedIndex === wanted) return turn(direction.getAttribute("aria-pressed") !== "true");
      sort.selectedIndex = wanted;
      turn(button.dataset.column === "gain"); // greatest gains first
    });
  }
  direction.addEventListener("click", () => turn(direction.getAttribute("aria-pressed") !== "true"));
  sort.addEventListener("change", order);
  for (const select of [filter, ...columns]) select.addEventListener("change", narrow);
  let waiting = 0;
  search.addEventListener("input", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(narrow);
  });
  const highlight = find("highlight");
  highlight.value = document.body.dataset.highlight;
  highlight.addEventListener("change", () => (document.body.dataset.highlight = highlight.value));
  find("clear").addEventListener("click", () => {
    for (const one of [search, filter, ...columns]) one.value = "";
    narrow();
    search.focus();
  });
  search.form.addEventListener("submit", (event) => event.preventDefault());

  // rows by keyboard: one of them is a tab stop, the arrows move it -----------------------------------------------------
  function choose(row) {
    if (current) current.element.tabIndex = -1;
    current = row;
    if (row) row.element.tabIndex = 0;
  }

  function go(row) {
    if (!row) return;
    choose(row);
    row.element.focus({ preventScroll: true });
    row.element.scrollIntoView({ block: "nearest" });
  }

  list.addEventListener("focusin", (event) => {
    const element = event.target.closest("[role=row]");
    if (element && element !== current?.element) choose(rows.find((row) => row.element === element));
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target === search) {
      search.value = "";
      narrow();
      return search.blur();
    }
    if (event.target.matches("input, select, textarea")) return;
    if (event.key === "/") {
      event.preventDefault();
      search.scrollIntoView({ block: "nearest" });
      return search.select();
    }
    const inside = list.contains(document.activeElement), at = inside ? shown.indexOf(current) : -1;
    const next = { j: at + 1, k: Math.max(0, at - 1) }[event.key]
      ?? (inside ? { ArrowDown: at + 1, ArrowUp: Math.max(0, at - 1), Home: 0, End: shown.length - 1 }[event.key] : undefined);
    if (next !== undefined) {
      event.preventDefault();
      go(shown[Math.min(next, shown.length - 1)]);
    } else if (event.key === "Enter" && event.target === current?.element) {
      const folded = current.element.querySelector("details");
      folded.open = !folded.open;
    }
  });

  for (const tools of document.querySelectorAll(".tools")) tools.hidden = false;
  narrow();
  if (location.hash.startsWith("#row-")) go(rows.find((row) => row.element.id === location.hash.slice(1)));
})();
