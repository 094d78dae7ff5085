// Gives a name to what Django's own scripts draw without one: search boxes of related rows, and icons that explain.
"use strict";
{
  const name = () => {
    for (const box of document.querySelectorAll(".select2-container")) {
      const select = box.previousElementSibling;
      const label = select?.labels?.[0]?.textContent.trim().replace(/:$/, "") || select?.getAttribute("aria-label");
      if (label) box.querySelector(".select2-selection__rendered")?.setAttribute("aria-label", label);
    }
    for (const icon of document.querySelectorAll("span.help-tooltip[aria-label]")) icon.setAttribute("role", "img");
  };
  window.addEventListener("load", name);
  document.addEventListener("formset:added", () => setTimeout(name));
}
