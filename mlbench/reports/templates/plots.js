(() => {
  "use strict";
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);

  const show = mark => {
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const at = mark.getBoundingClientRect(), room = document.documentElement.clientWidth;
    const left = at.left + at.width / 2 - tip.offsetWidth / 2;
    const above = at.top - tip.offsetHeight - 8;
    tip.style.left = Math.max(6, Math.min(left, room - tip.offsetWidth - 6)) + "px";
    tip.style.top = (above > 6 ? above : at.bottom + 8) + "px";
  };
  const hide = () => { tip.hidden = true; };

  for (const plot of document.querySelectorAll("[data-plot]")) {
    const rows = [...plot.querySelectorAll("[data-row]")]
      .map(row => [...row.querySelectorAll("[data-tip]")]).filter(row => row.length);
    const marks = rows.flat();
    if (!marks.length) continue;
    for (const mark of marks) {
      mark.tabIndex = -1;
      mark.setAttribute("aria-label", mark.dataset.tip);
      mark.querySelector("title")?.remove();
    }
    let current = marks[0];
    current.tabIndex = 0;
    const go = mark => {
      current.tabIndex = -1;
      current = mark;
      current.tabIndex = 0;
      current.focus();
    };
    const beside = step => {
      const y = rows.findIndex(row => row.includes(current));
      const row = rows[y + step];
      return row?.[Math.min(rows[y].indexOf(current), row.length - 1)];
    };
    const moves = {
      ArrowRight: () => marks[marks.indexOf(current) + 1],
      ArrowLeft: () => marks[marks.indexOf(current) - 1],
      ArrowDown: () => beside(1),
      ArrowUp: () => beside(-1),
      Home: () => marks[0],
      End: () => marks[marks.length - 1],
    };
    plot.addEventListener("keydown", event => {
      if (event.key === "Escape") hide();
      if (!(event.key in moves) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const next = moves[event.key]();
      if (next) go(next);
    });
    plot.addEventListener("focusin", event => {
      const mark = event.target.closest("[data-tip]");
      if (mark) show(mark);
    });
    plot.addEventListener("focusout", hide);
    plot.addEventListener("pointerover", event => {
      const mark = event.target.closest("[data-tip]");
      if (mark) show(mark);
    });
    plot.addEventListener("pointerout", hide);
  }
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("#by details")) details.open = true;
  });
  addEventListener("scroll", () => {
    const mark = document.querySelector("[data-tip]:hover, [data-tip]:focus-visible");
    if (mark) show(mark);
    else hide();
  }, { passive: true, capture: true });
})();
