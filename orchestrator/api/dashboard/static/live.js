// Parts of a page that keep up by themselves do not disturb whoever reads or is asked something.
"use strict";

const scrolled = new Map();

function isAsked() {
  return document.getElementById("confirm")?.open ?? false;
}

// While a question is open, what it is about stays where it is: the answer would be lost with it.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (isAsked() && event.detail.requestConfig?.verb === "get") event.preventDefault();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.requestConfig?.verb !== "get") return;
  if (isAsked()) event.detail.shouldSwap = false;
  for (const box of document.querySelectorAll(".scroll[id]")) {
    scrolled.set(box.id, [box.scrollLeft, box.scrollTop]);
  }
});

document.addEventListener("htmx:afterSwap", () => {
  for (const [id, [left, top]] of scrolled) document.getElementById(id)?.scrollTo({ left, top });
});
