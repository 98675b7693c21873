(() => {
  "use strict";
  const root = document.documentElement;

  // Light or dark by hand; the system's choice until then.
  const theme = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const name = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  dark.addEventListener("change", name);
  name();

  // Counts on hover.
  const tip = document.getElementById("tip");
  const place = (event) => {
    const box = tip.getBoundingClientRect();
    const x = Math.min(Math.max(event.clientX - box.width / 2, 8), innerWidth - box.width - 8);
    const above = event.clientY - box.height - 14;
    tip.style.left = x + "px";
    tip.style.top = (above > 8 ? above : event.clientY + 20) + "px";
  };
  let over = null;
  document.addEventListener("pointermove", (event) => {
    const target = event.target.closest ? event.target.closest("[data-tip]") : null;
    const text = target ? target.getAttribute("data-tip") : "";
    if (target !== over) {
      over = target;
      tip.hidden = !text;
      if (text) {
        tip.replaceChildren(...text.split("\n").map((line, index) => {
          const element = document.createElement(index ? "span" : "b");
          element.textContent = line;
          return element;
        }));
      }
    }
    if (!tip.hidden) place(event);
  });
  addEventListener("scroll", () => { tip.hidden = true; over = null; }, { passive: true });

  // A sample in full.
  const dialog = document.getElementById("card");
  const facts = dialog.querySelector("dl");
  const tell = (label, value) => {
    if (!value) return;
    const term = document.createElement("dt");
    const told = document.createElement("dd");
    const isolated = document.createElement("bdi");
    term.textContent = label;
    isolated.textContent = value;
    told.append(isolated);
    facts.append(term, told);
  };
  document.addEventListener("click", (event) => {
    const card = event.target.closest ? event.target.closest(".thumb") : null;
    if (!card) return;
    const image = card.querySelector("img");
    const large = dialog.querySelector("img");
    large.hidden = !image;
    if (image) large.src = image.src;
    dialog.querySelector(".alt").textContent = card.querySelector(".alt").textContent;
    facts.replaceChildren();
    tell("ended as", card.dataset.reason);
    tell("original", card.dataset.size);
    card.dataset.scores.split(";").forEach((score) => {
      const cut = score.indexOf("=");
      if (cut > 0) tell(score.slice(0, cut), score.slice(cut + 1));
    });
    tell("image", card.dataset.url);
    tell("page", card.dataset.page);
    tell("uid", card.dataset.uid);
    dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest(".close")) dialog.close();
  });

  // Where the reader is.
  const links = new Map([...document.querySelectorAll(".toc a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const link = links.get(entry.target.id);
      if (link && entry.isIntersecting) {
        links.forEach((other) => other.removeAttribute("aria-current"));
        link.setAttribute("aria-current", "true");
      }
    }
  }, { rootMargin: "-20% 0px -75% 0px" });
  document.querySelectorAll("main > section").forEach((section) => seen.observe(section));

  // Everything is open on paper.
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((each) => { each.open = true; });
  });
})();
