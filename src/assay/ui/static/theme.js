// Runs before the first paint, so that a chosen theme never flashes. "auto" (or nothing) follows the system.
(() => {
  const root = document.documentElement;
  const NEXT = { auto: "light", light: "dark", dark: "auto" };

  function read() {
    try {
      const kept = localStorage.getItem("assay-theme");
      return kept in NEXT ? kept : "auto";
    } catch {
      return "auto";
    }
  }

  function apply(theme) {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-action=theme]")) {
      button.querySelector("[data-theme-name]").textContent = theme;
      button.setAttribute("aria-label", `Theme: ${theme}. Change to ${NEXT[theme]}.`);
    }
  }

  apply(read());
  document.addEventListener("DOMContentLoaded", () => apply(read()));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-action=theme]")) return;
    const theme = NEXT[read()];
    try {
      localStorage.setItem("assay-theme", theme);
    } catch {
      // A browser that keeps nothing still changes this page.
    }
    apply(theme);
  });
})();
