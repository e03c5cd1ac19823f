"use strict";
/* Ranks the models in one setting; all that it shows is in the page. Its state is in the address. */
(() => {
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const MISSING = 64 ** 3 - 1;
  const data = JSON.parse(document.getElementById("data").textContent);
  const { query, pool } = document.getElementById("controls").elements;
  const status = document.getElementById("status");
  const drawn = data.models.some(model => model.best);
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

  /* The range of places, or by score alone where the page has no intervals: models whose scores
     read the same share a place. */
  function rankOf({ model, value }, setting, before, place) {
    if (model.unranked || value === null) return "-";
    if (!model.best) return before && text(before.value) === text(value) ? before.rank : String(place);
    const best = model.best[setting], worst = model.worst[setting];
    return best === worst ? String(best) : `${best}–${worst}`;
  }

  /* The best first; models without a rank stand at their score, and those without a score last. */
  function ranked(setting) {
    const rows = data.models.map((model, order) => ({ model, order, value: scoreAt(model.scores, setting) }));
    rows.sort((a, b) => (b.value ?? -1) - (a.value ?? -1) || a.order - b.order);
    let place = 0, before = null;
    for (const row of rows) {
      row.rank = rankOf(row, setting, before, place + 1);
      if (row.rank === "-") continue;
      place += 1;
      before = row;
    }
    return rows;
  }

  /* Whether a ranked model cannot be told from the first. */
  const near = ({ model, rank }, setting) => rank !== "-" && model.near?.[setting] === "1";

  function interval(model, setting) {
    const [low, high] = [model.low, model.high].map(ends => ends ? scoreAt(ends, setting) : null);
    if (low === null) return "-";
    return text(low) === text(high) ? text(low) : `${text(low)} to ${text(high)}`;
  }

  function line(found, setting) {
    const { model, value, rank } = found;
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
    const place = make("td", rank), score = make("td", text(value));
    if (near(found, setting) && rank !== "1") place.append(make("small", "≈ first"));
    if (model.ties?.[setting]) score.append(make("small", `ties: ${model.ties[setting]}`));
    row.append(place, head, score, ...(drawn ? [make("td", interval(model, setting))] : []),
      make("td", bar, "bar"), make("td", make("span", model.evidence, `badge ${model.evidence}`)));
    return row;
  }

  /* The names of models as a sentence lists them; of more than four, three and the number of others. */
  function names(found) {
    const every = found.map(({ model }) => model.name);
    const more = every.length > 4 ? every.length - 3 : 0;
    const last = more ? `${more} others` : every.pop();
    return [every.slice(0, 3).join(", "), last].filter(Boolean).join(" and ");
  }

  /* What a sentence says of the best score, and which models the data cannot tell from it. */
  function told(rows, setting) {
    const ranked = rows.filter(({ rank }) => rank !== "-");
    if (!ranked.length) return "No model has a rank.";
    const score = text(ranked[0].value);
    const best = ranked.filter(({ value }) => text(value) === score);
    const others = ranked.slice(best.length);
    const alone = best.length === 1;
    if (!drawn) return `${names(best)} ${alone ? "is" : "are"} first with ${score}.`;
    const alike = others.filter(each => near(each, setting));
    return `${names(best)} ${alone ? "has" : "share"} the best score, ${score}`
      + (alike.length ? `; the data cannot distinguish ${alone ? "it" : "them"} from ${names(alike)}.`
        : others.length ? `, and all ${ranked.length < rows.length ? "other ranked models" : "others"} are shown to be worse.`
          : ".");
  }

  function show() {
    const setting = data.settings.findIndex(each => each[0] === query.value && each[2] === pool.value);
    const [, asked, , searched] = data.settings[setting];
    const rows = ranked(setting);
    body.replaceChildren(...rows.map(row => line(row, setting)));
    status.textContent = `Queries: ${asked}; passages: ${searched}. ${told(rows, setting)}`;
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
