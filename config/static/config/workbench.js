// Steps through a group by the keys j, k and g, unless the person is writing. Without scripts the links do the same.
"use strict";
{
  const steps = document.querySelector("[data-steps]");
  const links = { j: "a[rel=next]", k: "a[rel=prev]", g: "a[accesskey=g]" };
  if (steps) {
    document.addEventListener("keydown", (event) => {
      const writing = event.target.closest("input, textarea, select, [contenteditable]");
      if (writing || event.ctrlKey || event.altKey || event.metaKey || !(event.key in links)) return;
      const link = steps.querySelector(links[event.key]);
      if (link) link.click();
    });
  }
}
