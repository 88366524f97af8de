// Shows what a mark says when it is pointed at, or reached with the arrow keys.  The page says the
// same without it: marks have titles, and every plot has a table.
"use strict";
(() => {
  const tip = document.getElementById("tip");
  let current = null;

  const hide = () => {
    if (current) current.classList.remove("at");
    current = null;
    tip.hidden = true;
  };

  const show = (mark) => {
    if (mark === current) return;
    hide();
    current = mark;
    mark.classList.add("at");
    tip.textContent = mark.getAttribute("aria-label");
    tip.hidden = false;
    const at = mark.getBoundingClientRect(), box = tip.getBoundingClientRect();
    const left = at.left + Math.min(at.width, 2 * window.innerWidth) / 2 - box.width / 2;
    const above = at.top - box.height - 10;
    tip.style.left = Math.max(8, Math.min(left, window.innerWidth - box.width - 8)) + "px";
    tip.style.top = (above < 8 ? at.bottom + 10 : above) + "px";
  };

  for (const title of document.querySelectorAll(".mark > title")) title.remove();

  const pointed = (event) => {
    const mark = event.target instanceof Element && event.target.closest(".mark");
    if (mark) show(mark); else hide();
  };
  document.addEventListener("pointerover", pointed);
  document.addEventListener("pointerdown", pointed);
  window.addEventListener("scroll", hide, {passive: true});

  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1};
  for (const plot of document.querySelectorAll(".plot")) {
    const marks = [...plot.querySelectorAll(".mark")];
    if (!marks.length) continue;
    plot.setAttribute("tabindex", "0");
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return hide();
      if (!(event.key in step)) return;
      event.preventDefault();
      const place = marks.indexOf(current), last = marks.length - 1;
      const next = place < 0 ? (step[event.key] > 0 ? 0 : last) : place + step[event.key];
      show(marks[Math.max(0, Math.min(next, last))]);
    });
  }
})();
