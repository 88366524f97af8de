// A part of a page that keeps up by itself leaves its tables scrolled as they were.
"use strict";

const scrolled = new Map();

document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.requestConfig?.verb !== "get") return;
  for (const box of document.querySelectorAll(".scroll[id]")) {
    scrolled.set(box.id, [box.scrollLeft, box.scrollTop]);
  }
});

document.addEventListener("htmx:afterSwap", () => {
  for (const [id, [left, top]] of scrolled) document.getElementById(id)?.scrollTo({ left, top });
});
