// The keyboard: g + letter goes to a place, / to the search, j and k move through rows, Enter opens, ? explains, Esc leaves.
// A page's own keys stand on what they press or focus (data-press); Ctrl+Enter in a form presses its data-submit.
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

function press(element) {
  if (element.matches("button, a")) element.click();
  else element.querySelector("input:not([type=hidden]), textarea, select")?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") return escape(event);
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const submit = event.target.form?.querySelector("[data-submit]");
    if (submit) event.target.form.requestSubmit(submit);
    return;
  }
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
  const pressed = document.querySelector(`[data-press="${CSS.escape(event.key)}"]`);
  if (!Object.hasOwn(actions, event.key) && (!pressed || event.repeat)) return;
  event.preventDefault();
  if (pressed) press(pressed);
  else actions[event.key]();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-action=keys]")) help?.showModal();
  if (event.target === help || event.target.closest("[data-action=close]")) event.target.closest("dialog")?.close();
});
