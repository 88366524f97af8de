// Before anything is drawn: light, dark, or as the system has it.
"use strict";
document.documentElement.dataset.theme = localStorage.getItem("coterie-theme") || "auto";
