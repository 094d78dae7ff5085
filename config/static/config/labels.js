// Gives a name to what Django's own scripts and widgets draw without one: search boxes of related rows, moments in two
// inputs on screens that are not ours, icons that explain. Tables that are wider than their box can be scrolled by keys.
"use strict";
{
  const textOf = (label) => label?.textContent.trim().replace(/:$/, "");
  const name = () => {
    for (const box of document.querySelectorAll(".select2-container")) {
      const select = box.previousElementSibling;
      const label = textOf(select?.labels?.[0]) || select?.getAttribute("aria-label");
      if (label) box.querySelector(".select2-selection__rendered")?.setAttribute("aria-label", label);
    }
    for (const input of document.querySelectorAll(".datetime input:not([aria-label])")) {
      const label = textOf(input.closest(".form-row, .fieldBox")?.querySelector("label, legend"));
      if (label) input.setAttribute("aria-label", `${label}, ${input.classList.contains("vTimeField") ? "time" : "day"}`);
    }
    for (const box of document.querySelectorAll(".inline-group fieldset, .scroll")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    }
    for (const icon of document.querySelectorAll("span.help-tooltip[aria-label]")) icon.setAttribute("role", "img");
  };
  window.django?.jQuery(name); // after the boxes are drawn, which the same event calls for
  window.addEventListener("load", () => setTimeout(name)); // after the icons are
  document.addEventListener("formset:added", () => setTimeout(name));
}
