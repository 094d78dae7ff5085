// Keeps the progress panel of an import up to date while it is at work. Without it, reloading the page does the same.
"use strict";
{
  const panel = document.querySelector("[data-progress-url]");
  const look = async () => {
    try {
      const answer = await fetch(panel.dataset.progressUrl, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const progress = await answer.json();
        panel.innerHTML = progress.html;
        if (progress.at_rest) {
          window.location.reload(); // chunks and attempts below have their last figures now
          return;
        }
      }
    } catch {
      // The server is away for a moment; look again.
    }
    setTimeout(look, 2000);
  };
  if (panel) setTimeout(look, 2000);
}
