"use strict";
/* Sorts, filters, opens rows, and scores again over some languages. All that it shows is in the
   page already, or computed from the figures in it; its state is kept in the address. */
(() => {
  const FIRST_SCORE = 4; /* cells of a row before its scores: rank, model, evidence, contamination */
  const LEVELS = ["reported", "recomputed", "sampled", "reproduced"];
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const CODE = new Uint8Array(128);
  [...LETTERS].forEach((letter, code) => { CODE[letter.charCodeAt(0)] = code; });
  const MISSING = 64 ** 3 - 1;
  const UNIT = 1e5;
  const IMAGE = "zxx"; /* the language of images, which every choice of languages holds */
  const FILTERS = ["find", "evidence", "contamination", "size"];

  const read = id => JSON.parse(document.getElementById(id).textContent);
  const lazily = make => { let made; return () => (made ??= make()); };
  const figures = lazily(() => read("figures"));
  const controls = document.getElementById("controls");
  const status = document.getElementById("status");
  const chooser = document.getElementById("languages");
  const boxes = chooser.querySelector("fieldset div");

  const tables = read("board").map(table => {
    const section = document.querySelector(`section[data-table="${table.name}"]`);
    const element = section.querySelector(".standings > table");
    const bodies = Object.fromEntries([...element.tBodies].map(b => [b.dataset.key, b]));
    table.rows.forEach((row, order) => {
      row.order = order;
      row.body = bodies[row.slug];
      row.cells = row.body.rows[0].cells;
      row.drawer = row.body.rows[1];
      row.written = table.columns.map((_, i) => texts(row, FIRST_SCORE + i));
      row.name = row.cells[1].querySelector("bdi").textContent;
      row.text = `${row.name} ${row.slug}`.toLowerCase();
    });
    return Object.assign(table, { section, element, shown: null });
  });
  const named = Object.create(null); /* so that an address with "constructor" finds nothing */
  for (const table of tables) {
    named[table.name] = table;
    table.languages = table.languages.filter(code => code !== IMAGE);
  }
  for (const table of tables) {
    if (table.languages.length) continue;
    const [first = [], ...others] = Object.keys(table.headlines).map(name => named[name].languages);
    table.languages = first.filter(code => others.every(codes => codes.includes(code)));
  }

  let state = {};

  /* ---- figures by language ---- */

  const figuresOf = (task, key, column) => figures()[task]?.[key]?.[column] ?? null;

  /* One figure: of packed text three letters each, five decimals; "///" is missing. */
  function figureAt(values, i) {
    if (typeof values !== "string") return values[i];
    const at = 3 * i;
    const code = CODE[values.charCodeAt(at)] << 12
      | CODE[values.charCodeAt(at + 1)] << 6 | CODE[values.charCodeAt(at + 2)];
    return code === MISSING ? null : code / UNIT;
  }

  function taskScore(task, row, column, languages) {
    const values = figuresOf(task.name, row.slug, column.key);
    if (!values || !languages.length) return null;
    const [asked, searched] = [task.query_languages, task.passage_languages].map(codes =>
      [...languages, IMAGE].map(code => codes.indexOf(code)).filter(i => i >= 0));
    let sum = 0, count = 0;
    const add = value => { if (value !== null) { sum += value; count++; } };
    for (const i of asked) {
      if (!column.by_pair) add(figureAt(values, i));
      else for (const j of searched) add(figureAt(values, i * task.passage_languages.length + j));
    }
    return count ? sum / count : null;
  }

  function scoreOf(table, row, column, languages) {
    const headline = name => {
      const own = named[name]?.columns.find(each => each.key === table.headlines[name]);
      return own ? taskScore(named[name], row, own, languages) : null;
    };
    if (column.task) return headline(column.task);
    if (!table.suite) return taskScore(table, row, column, languages);
    const values = table.tasks.map(headline);
    return values.includes(null) ? null : values.reduce((a, b) => a + b) / values.length;
  }

  /* ---- text ---- */

  function texts(row, cell) {
    return [row.cells[cell].firstChild.data, row.cells[cell].lastChild.textContent];
  }

  /* Change a cell's two texts only where they differ: a change lays the whole table out again. */
  function write(cell, text, small) {
    const [first, last] = [cell.firstChild, cell.lastChild];
    if (first.data !== text) first.data = text;
    if (last.textContent !== small) last.textContent = small;
  }

  function scoreText(column, value) {
    if (value === null) return "-";
    if (!column.lower_is_better) return value.toFixed(4);
    return value.toFixed(1).replace(/\B(?=(\d{3})+\.)/g, ",");
  }

  /* The first and the last place of a model, and whether it shares the first; null without a rank. */
  const placeOf = cell => cell.best === null ? null
    : [cell.best, cell.worst, cell.near_first && cell.worst !== 1];

  const placeText = place =>
    !place ? "-" : place[0] === place[1] ? `${place[0]}` : `${place[0]}–${place[1]}`;

  /* ---- scoring again ---- */

  function score(table) {
    const languages = state.languages;
    const key = languages ? `over ${languages}` : "all";
    if (table.shown === key) return;
    table.shown = key;
    table.columns.forEach((column, i) => {
      for (const row of table.rows) {
        row.now ??= []; row.at ??= [];
        row.now[i] = languages ? scoreOf(table, row, column, languages) : row.scores[column.key].value;
        row.at[i] = placeOf(row.scores[column.key]);
      }
      if (languages) rank(table, column, i);
      for (const row of table.rows) {
        const [text, place] = languages
          ? [scoreText(column, row.now[i]), row.at[i] ? placeText(row.at[i]) : ""]
          : row.written[i];
        write(row.cells[FIRST_SCORE + i], text, place);
      }
    });
  }

  /* By score alone; models whose scores read the same share a rank. */
  function rank(table, column, i) {
    const ranked = table.rows.filter(row => row.scores[column.key].best !== null && row.now[i] !== null);
    ranked.sort((a, b) => (column.lower_is_better ? 1 : -1) * (a.now[i] - b.now[i]));
    for (const row of table.rows) row.at[i] = null;
    ranked.forEach((row, place) => {
      const before = ranked[place - 1];
      const alike = before && scoreText(column, before.now[i]) === scoreText(column, row.now[i]);
      const rank = alike ? before.at[i][0] : place + 1;
      row.at[i] = [rank, rank, false];
    });
  }

  /* ---- sorting and filtering ---- */

  const columnAt = (table, key) => table.columns.findIndex(column => column.key === key);

  function valueOf(table, row, key) {
    const i = columnAt(table, key);
    if (i >= 0) return row.now[i];
    if (key === "model") return row.name.toLowerCase();
    if (key === "date") return row.date;
    return row.cost[key];
  }

  function sort(table) {
    const sign = state.order === "ascending" ? 1 : -1;
    const rows = table.rows.map(row => [valueOf(table, row, state.sort), row]);
    rows.sort(([a, x], [b, y]) => {
      if ((a === null) !== (b === null)) return a === null ? 1 : -1;
      return (a < b ? -sign : a > b ? sign : 0) || x.order - y.order;
    });
    const order = rows.map(([, row]) => row.slug).join();
    if (order !== (table.order ??= table.rows.map(row => row.slug).join())) {
      table.element.append(...rows.map(([, row]) => row.body));
      table.order = order;
    }
    const by = columnAt(table, state.sort) >= 0 ? state.sort : table.main;
    const i = columnAt(table, by);
    for (const [, row] of rows) {
      write(row.cells[0], placeText(row.at[i]), row.at[i]?.[2] ? "≈ first" : "");
    }
    for (const head of table.element.tHead.querySelectorAll("[data-sort]")) {
      if (head.dataset.sort === state.sort) head.setAttribute("aria-sort", state.order);
      else head.removeAttribute("aria-sort");
    }
    const head = table.element.tHead.querySelector(`[data-sort="${by}"]`);
    const said = `Sorted by ${head.title}. The rank is below each score.`;
    if (table.element.caption.textContent !== said) table.element.caption.textContent = said;
  }

  function isShown(row) {
    if (state.find && !row.text.includes(state.find.toLowerCase())) return false;
    if (state.evidence && LEVELS.indexOf(row.evidence) < LEVELS.indexOf(state.evidence)) return false;
    if (state.contamination === "clean" && row.contamination !== "clean") return false;
    if (state.contamination === "unseen" && !["clean", "train-split-only"].includes(row.contamination)) return false;
    return !state.size || (row.cost.parameters !== null && row.cost.parameters <= Number(state.size));
  }

  function filter(table) {
    let count = 0;
    for (const row of table.rows) {
      const shown = isShown(row);
      row.body.hidden = !shown;
      count += shown;
    }
    const rows = count === table.rows.length ? "" : `${count} of ${table.rows.length} models. `;
    const languages = state.languages;
    const ofImages = [table.query_languages, table.passage_languages].every(each => each.includes(IMAGE));
    const kinds = ofImages
      ? "each direction over these languages, and multi, recall and rank distance over all images, "
        + "in the texts of all languages"
      : "mono over these languages, cross over pairs of them, and multi, recall and rank distance "
        + "over queries in them, in the pool of all languages";
    table.section.querySelector(".reading").hidden = Boolean(languages);
    status.classList.toggle("chosen", Boolean(languages));
    status.textContent = rows + (!languages ? "" : !languages.length ? "No language is chosen."
      : `Scores are over ${languages.join(", ")}: ${kinds}. Ranks are by score alone, `
        + "without intervals. Plots and details below are over all languages.");
    status.hidden = !status.textContent;
  }

  /* ---- drawers ---- */

  function open(row, wanted) {
    if (row.isOpen === wanted) return;
    row.isOpen = wanted;
    row.drawer.classList.toggle("open", wanted);
    row.drawer.querySelector("details").open = wanted;
    row.button.setAttribute("aria-expanded", String(wanted));
    const place = wanted && row.drawer.querySelector(".heat-here");
    if (place && place.hidden) {
      place.querySelector(".scroll").append(heatMap(row));
      place.hidden = false;
    }
  }

  /* The empty heat map that the page holds, its cells one path row by row, in the colours of scores. */
  function heatMap(row) {
    const table = tables.find(each => each.rows.includes(row));
    const [mono, cross, mixed] = ["mono", "cross", "multi"].map(key => figuresOf(table.name, row.slug, key));
    const [queries, passages] = [table.query_languages, table.passage_languages];
    const count = passages.length, wide = count + (mixed ? 1 : 0);
    const figure = table.section.querySelector(".heat-frame").content.firstElementChild.cloneNode(true);
    const empty = figure.querySelector(".none");
    const paths = {};
    empty.getAttribute("d").match(/M[^M]+/g).forEach((cell, at) => {
      const i = Math.floor(at / wide), j = at % wide;
      const value = j === count ? figureAt(mixed, i)
        : queries[i] === passages[j] && mono ? figureAt(mono, i) : figureAt(cross, i * count + j);
      const name = value === null ? "none" : `h${Math.floor(16 * value + 0.5)}`;
      paths[name] = (paths[name] ?? "") + cell;
    });
    for (const [name, cells] of Object.entries(paths)) {
      const path = empty.cloneNode();
      path.setAttribute("class", name);
      path.setAttribute("d", cells);
      empty.before(path);
    }
    empty.remove();
    return figure;
  }

  /* ---- state ---- */

  function parse() {
    const given = new URLSearchParams(location.hash.slice(1));
    const linked = location.hash.startsWith("#table-") ? location.hash.slice(7) : null;
    const table = named[given.get("table") ?? linked] ?? tables[0];
    const heads = [...table.element.tHead.querySelectorAll("[data-sort]")];
    const head = heads.find(each => each.dataset.sort === given.get("sort"))
      ?? heads.find(each => each.dataset.sort === table.main);
    const order = given.get("order");
    const told = given.get("languages");
    const chosen = table.languages.filter(code => told?.split(",").includes(code));
    state = {
      table: table.name,
      sort: head.dataset.sort,
      order: ["ascending", "descending"].includes(order) ? order : head.dataset.first,
      languages: chosen.length || told === "" ? chosen : null,
      open: new Set((given.get("open") ?? "").split(",").filter(Boolean)),
    };
    if (state.languages?.length === table.languages.length) state.languages = null;
    for (const name of FILTERS) {
      const field = controls.elements[name];
      field.value = given.get(name) ?? "";
      state[name] = field.value;
    }
  }

  function address() {
    const table = named[state.table];
    const head = table.element.tHead.querySelector(`[data-sort="${state.sort}"]`);
    const told = new URLSearchParams();
    if (table !== tables[0]) told.set("table", state.table);
    if (state.sort !== table.main) told.set("sort", state.sort);
    if (state.order !== head.dataset.first) told.set("order", state.order);
    if (state.languages) told.set("languages", state.languages.join());
    for (const name of FILTERS) if (state[name]) told.set(name, state[name]);
    if (state.open.size) told.set("open", [...state.open].join());
    return "#" + told.toString().replaceAll("%2C", ",");
  }

  function changed(change) {
    Object.assign(state, change);
    history.replaceState(null, "", address());
    show();
  }

  function show() {
    const table = named[state.table];
    for (const each of tables) each.section.hidden = each !== table;
    for (const link of document.querySelectorAll("nav a[data-table]")) {
      if (link.dataset.table === state.table) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    chooseFrom(table);
    score(table);
    sort(table);
    filter(table);
    for (const row of table.rows) open(row, state.open.has(row.slug));
  }

  function chooseFrom(table) {
    chooser.hidden = table.languages.length < 2;
    if (boxes.dataset.table !== table.name) {
      boxes.dataset.table = table.name;
      boxes.replaceChildren(...table.languages.map(code => {
        const label = document.createElement("label");
        const box = Object.assign(document.createElement("input"), { type: "checkbox", value: code });
        label.append(box, code);
        return label;
      }));
    }
    const chosen = state.languages ?? table.languages;
    for (const box of boxes.querySelectorAll("input")) box.checked = chosen.includes(box.value);
    chooser.querySelector("summary span").textContent =
      state.languages ? `${chosen.length} of ${table.languages.length}` : `all ${table.languages.length}`;
  }

  function choose() {
    const every = [...boxes.querySelectorAll("input")];
    const chosen = every.filter(box => box.checked).map(box => box.value);
    changed({ languages: chosen.length === every.length ? null : chosen });
  }

  /* ---- what a reader can do ---- */

  for (const table of tables) {
    for (const head of table.element.tHead.querySelectorAll("[data-sort]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const other = state.order === "ascending" ? "descending" : "ascending";
        const again = state.sort === head.dataset.sort;
        changed({ sort: head.dataset.sort, order: again ? other : head.dataset.first });
      });
    }
    for (const row of table.rows) {
      const name = row.cells[1].querySelector("bdi");
      row.button = document.createElement("button");
      row.button.type = "button";
      row.drawer.id = `drawer/${table.name}/${row.slug}`;
      row.button.setAttribute("aria-controls", row.drawer.id);
      row.button.setAttribute("aria-expanded", "false");
      name.replaceWith(row.button);
      row.button.append(name);
      row.button.addEventListener("click", () => {
        const opened = new Set(state.open);
        if (!opened.delete(row.slug)) opened.add(row.slug);
        changed({ open: opened });
      });
    }
  }
  for (const name of FILTERS) {
    controls.elements[name].addEventListener("input", event => changed({ [name]: event.target.value }));
  }
  boxes.addEventListener("change", choose);
  for (const [name, checked] of [["all", true], ["none", false]]) {
    controls.elements[name].addEventListener("click", () => {
      for (const box of boxes.querySelectorAll("input")) box.checked = checked;
      choose();
    });
  }
  controls.addEventListener("submit", event => event.preventDefault());
  controls.addEventListener("reset", event => {
    event.preventDefault();
    location.hash = named[state.table] === tables[0] ? "" : `table=${state.table}`;
  });
  for (const link of document.querySelectorAll("nav a[data-table]")) {
    link.addEventListener("click", event => {
      event.preventDefault();
      location.hash = `table=${link.dataset.table}`;
    });
  }
  document.addEventListener("click", event => {
    if (chooser.open && !chooser.contains(event.target)) chooser.open = false;
  });
  document.addEventListener("keydown", event => {
    if (event.key !== "Escape" || !chooser.open) return;
    chooser.open = false;
    chooser.querySelector("summary").focus();
  });
  window.addEventListener("hashchange", () => {
    if (["#reading", "#changes"].includes(location.hash)) return;
    parse();
    show();
  });

  document.documentElement.classList.add("js");
  controls.hidden = false;
  parse();
  show();
})();
