// A new key: copied with a button, and gone from the page when its owner says so, or leaves.
"use strict";

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy], [data-forget]");
  if (!button) return;
  if (button.dataset.forget) {
    document.getElementById(button.dataset.forget).replaceChildren();
    document.querySelector("h1")?.scrollIntoView();
    return;
  }
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copy with Ctrl+C"; // without TLS browsers allow nothing else
    field.focus();
  }
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "made") return;
  document.getElementById("new-key")?.reset();
  document.getElementById("made-title")?.focus();
});

// A page that a browser keeps for "back" must not keep the key.
addEventListener("pagehide", () => document.getElementById("made")?.replaceChildren());
