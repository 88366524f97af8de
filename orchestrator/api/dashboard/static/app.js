// What every page needs: theme, menu, and a question before what cannot be undone.
"use strict";

const THEMES = ["auto", "light", "dark"];

function showTheme() {
  const theme = document.documentElement.dataset.theme;
  const button = document.getElementById("theme");
  if (button) button.textContent = `Theme: ${theme}`;
}

document.getElementById("theme")?.addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
  localStorage.setItem("coterie-theme", root.dataset.theme);
  showTheme();
  document.dispatchEvent(new Event("coterie:theme"));
});
showTheme();

document.getElementById("menu")?.addEventListener("click", (event) => {
  const open = event.currentTarget.getAttribute("aria-expanded") !== "true";
  event.currentTarget.setAttribute("aria-expanded", String(open));
});

// hx-confirm asks in the page's own dialog, which says what the attribute says.
document.addEventListener("htmx:confirm", (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-text").textContent = event.detail.question;
  dialog.returnValue = "no";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "yes") event.detail.issueRequest(true);
  }, { once: true });
  dialog.showModal();
});

// While something is asked nothing is exchanged under it: what was clicked must still be there.
for (const name of ["htmx:beforeRequest", "htmx:beforeSwap"]) {
  document.addEventListener(name, (event) => {
    const reads = event.detail.requestConfig?.verb === "get";
    if (reads && document.getElementById("confirm").open) event.preventDefault();
  });
}

// A notice belongs to what was done last; the next request clears it.
document.addEventListener("htmx:beforeRequest", (event) => {
  const changes = event.detail.requestConfig?.verb !== "get";
  if (changes) document.getElementById("notices")?.replaceChildren();
});

document.addEventListener("htmx:sendError", () => {
  const notice = document.createElement("p");
  notice.className = "notice bad";
  notice.textContent = "The server does not answer: see whether it runs (coterie status), then try again.";
  document.getElementById("notices")?.replaceChildren(notice);
});
