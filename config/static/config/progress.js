// Keeps the progress panel of an import up to date while it is at work. Without scripts the page reloads itself.
"use strict";
{
  const panel = document.querySelector("[data-progress-url]");
  const look = async () => {
    try {
      const answer = await fetch(panel.dataset.progressUrl, { cache: "no-store", headers: { Accept: "application/json" } });
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
  if (panel) setTimeout(look, 500); // a small file is through before its page is read
}
