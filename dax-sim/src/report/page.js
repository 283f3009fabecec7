// The page works without it: markers then have the browser's own tooltips, and the link leads to
// the file beside the page.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const file = new Blob([JSON.stringify(data, null, 2) + "\n"], { type: "application/json" });
  document.getElementById("download").href = URL.createObjectURL(file);

  const texts = new Map();
  for (const marker of document.querySelectorAll(".hit")) {
    const title = marker.querySelector("title");
    texts.set(marker, title.textContent);
    title.remove();
  }
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("aria-hidden", "true");
  tip.hidden = true;
  document.body.append(tip);
  const show = event => {
    const text = texts.get(event.target);
    tip.hidden = text === undefined;
    if (tip.hidden) return;
    tip.textContent = text;
    const at = event.target.getBoundingClientRect();
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(at.left, room))}px`;
    const above = at.top - tip.offsetHeight - 6;
    tip.style.top = `${above < 0 ? at.bottom + 6 : above}px`;
  };
  document.addEventListener("pointerover", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true, capture: true });
})();
