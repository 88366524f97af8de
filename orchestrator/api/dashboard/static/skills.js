// The heat map: says the numbers of the square one points at, and lets arrow keys walk.
"use strict";

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function told(event) {
  const cell = event.target.closest?.(".heat td[tabindex]");
  const readout = document.getElementById("readout");
  if (!cell || !readout) return;
  const skill = cell.parentElement.firstElementChild.textContent;
  const expert = cell.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent;
  readout.textContent = `${expert} at ${skill}: ${cell.querySelector(".hidden-text").textContent}`;
}

document.addEventListener("mouseover", told);
document.addEventListener("focusin", told);
document.addEventListener("keydown", (event) => {
  const cell = event.target.closest?.(".heat td[tabindex]");
  const step = STEPS[event.key];
  if (!cell || !step) return;
  event.preventDefault();
  const rows = cell.closest("tbody").rows;
  const next = rows[cell.parentElement.sectionRowIndex + step[0]]?.cells[cell.cellIndex + step[1]];
  if (!next?.hasAttribute("tabindex")) return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
