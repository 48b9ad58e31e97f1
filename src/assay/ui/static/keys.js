// The keyboard: g + letter goes to a place, / to the search, j and k move through rows, Enter opens, ? explains, Esc leaves.
const help = document.getElementById("keys-help");
let leading = 0;

function rows() {
  return [...document.querySelectorAll("main table.rows tbody tr, main [data-row]")].filter((row) => row.querySelector("a[href]") && row.checkVisibility());
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const present = all.indexOf(document.activeElement?.closest("tr, [data-row]"));
  const next = all[present < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(present + step, 0), all.length - 1)];
  next.querySelector("a[href]").focus();
  next.scrollIntoView({ block: "nearest" });
}

function typing(element) {
  return element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName);
}

function escape(event) {
  if (typing(event.target)) event.target.blur();
  const open = event.target.closest("details.confirm[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
}

// On a narrow screen the navigation scrolls sideways: bring the present place into sight.
const places = document.querySelector(".side nav");
const present = places?.querySelector("[aria-current]");
if (present) places.scrollLeft += present.getBoundingClientRect().right - places.getBoundingClientRect().right;

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") return escape(event);
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || help?.open) return;
  if (leading && Date.now() - leading < 1500) {
    leading = 0;
    const link = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (link) {
      event.preventDefault();
      link.click();
    }
    return;
  }
  const actions = {
    g: () => (leading = Date.now()),
    j: () => move(1),
    k: () => move(-1),
    "/": () => document.querySelector("main input[type=search]")?.focus(),
    "?": () => help?.showModal(),
  };
  if (!Object.hasOwn(actions, event.key)) return;
  event.preventDefault();
  actions[event.key]();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-action=keys]")) help?.showModal();
  if (event.target === help || event.target.closest("[data-action=close]")) event.target.closest("dialog")?.close();
});
