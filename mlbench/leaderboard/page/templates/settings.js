"use strict";
/* Ranks the models in one setting; all that it shows is in the page. Its state is in the address. */
(() => {
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const MISSING = 64 ** 3 - 1;
  const data = JSON.parse(document.getElementById("data").textContent);
  const { query, pool } = document.getElementById("controls").elements;
  const status = document.getElementById("status");
  const body = document.querySelector(".ranking tbody");

  /* Three letters, five decimals; "///" is missing. */
  function scoreAt(text, i) {
    const code = [0, 1, 2].reduce((sum, k) => 64 * sum + LETTERS.indexOf(text[3 * i + k]), 0);
    return code === MISSING ? null : code / data.unit;
  }

  const text = value => value === null ? "-" : value.toFixed(4);

  function make(name, content, className) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(content);
    return made;
  }

  function options(select, pairs, wanted) {
    const known = pairs.filter(([code], i) => pairs.findIndex(each => each[0] === code) === i);
    select.replaceChildren(...known.map(([code, name]) => {
      const option = make("option", name);
      option.value = code;
      return option;
    }));
    select.value = known.some(([code]) => code === wanted) ? wanted : known[0][0];
  }

  /* The best first; models without a rank stand at their score, and those without a score last. */
  function ranked(setting) {
    const rows = data.models.map((model, order) => ({ model, order, value: scoreAt(model.scores, setting) }));
    rows.sort((a, b) => (b.value ?? -1) - (a.value ?? -1) || a.order - b.order);
    let place = 0, before = null;
    for (const row of rows) {
      if (row.model.unranked || row.value === null) { row.rank = "-"; continue; }
      place += 1;
      row.rank = before && text(before.value) === text(row.value) ? before.rank : String(place);
      before = row;
    }
    return rows;
  }

  function line({ model, value, rank }) {
    const row = document.createElement("tr");
    const name = make("bdi", model.name);
    const link = make("a", name);
    link.href = `../models/${model.slug}.html`;
    const head = make("th", link);
    head.scope = "row";
    if (model.unranked) {
      row.className = "unranked";
      head.append(make("small", `no rank: ${model.unranked}`));
    }
    const bar = document.createElement("meter");
    bar.max = 1;
    bar.value = value ?? 0;
    bar.textContent = text(value);
    row.append(make("td", rank), head, make("td", text(value)), make("td", bar, "bar"),
      make("td", make("span", model.evidence, `badge ${model.evidence}`)));
    return row;
  }

  function show() {
    const setting = data.settings.findIndex(each => each[0] === query.value && each[2] === pool.value);
    const [, asked, , searched] = data.settings[setting];
    const rows = ranked(setting);
    body.replaceChildren(...rows.map(line));
    const first = rows.find(row => row.rank === "1");
    status.textContent = `Queries: ${asked}; passages: ${searched}. `
      + (first ? `${first.model.name} is first with ${text(first.value)}.` : "No model has a rank.");
  }

  function choose(asked, searched) {
    options(query, data.settings, asked);
    const pools = data.settings.filter(each => each[0] === query.value);
    options(pool, pools.map(each => [each[2], each[3]]), searched);
    show();
  }

  function fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    choose(given.get("query"), given.get("pool"));
  }

  document.getElementById("chosen").hidden = false;
  for (const select of [query, pool]) {
    select.addEventListener("input", () => {
      choose(query.value, pool.value);
      history.replaceState(null, "", `#query=${query.value}&pool=${pool.value}`);
    });
  }
  document.getElementById("controls").addEventListener("submit", event => event.preventDefault());
  window.addEventListener("hashchange", fromAddress);
  fromAddress();
})();
