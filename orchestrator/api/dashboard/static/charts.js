// Draws every <canvas data-chart="ID"> from the JSON in the element ID, in the page's colours.
"use strict";

const PALETTE = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];
const drawn = new Map();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function draw(canvas) {
  const data = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
  const axis = { ticks: { color: colour("--quiet") }, grid: { color: colour("--line") } };
  drawn.get(canvas)?.destroy();
  drawn.set(canvas, new Chart(canvas, {
    type: data.kind,
    data: {
      labels: data.labels,
      datasets: data.series.map((series, i) => ({
        label: series.name,
        data: series.values,
        borderColor: colour(PALETTE[i % PALETTE.length]),
        backgroundColor: colour(PALETTE[i % PALETTE.length]),
        borderWidth: data.kind === "line" ? 2 : 0,
        pointRadius: data.labels.length > 40 ? 0 : 2,
        spanGaps: false,
      })),
    },
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: { display: data.series.length > 1, labels: { color: colour("--text"), boxWidth: 12 } },
        tooltip: { callbacks: { label: (at) => `${at.dataset.label}: ${at.formattedValue} ${data.unit}` } },
      },
      scales: {
        x: { ...axis, stacked: data.stacked, ticks: { ...axis.ticks, maxTicksLimit: 8, maxRotation: 0 } },
        y: { ...axis, stacked: data.stacked, beginAtZero: true, title: { display: true, text: data.unit, color: colour("--quiet") } },
      },
    },
  }));
}

function drawAll(root) {
  for (const [canvas, chart] of drawn) {
    if (!canvas.isConnected) { chart.destroy(); drawn.delete(canvas); }
  }
  root.querySelectorAll("canvas[data-chart]").forEach(draw);
}

document.addEventListener("DOMContentLoaded", () => drawAll(document));
document.addEventListener("htmx:afterSwap", (event) => drawAll(event.detail.target));
document.addEventListener("coterie:theme", () => drawAll(document));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(document));
