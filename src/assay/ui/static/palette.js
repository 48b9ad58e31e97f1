// The command palette: Ctrl or Cmd and K, then a name or an id. The server finds; arrows choose, Enter goes there.
const palette = document.getElementById("palette");

function start() {
  const ask = palette.querySelector("[role=combobox]");
  const list = palette.querySelector("[role=listbox]");
  const none = palette.querySelector("[data-none]");
  const failed = palette.querySelector("[data-failed]");
  const kept = (name) => palette.querySelector(`[data-${name}]`).content;
  const word = (kind) => kept("kinds").querySelector(`[data-kind="${CSS.escape(kind)}"]`)?.textContent ?? kind;
  const icon = (kind) => kept("icons").querySelector(`[data-kind="${CSS.escape(kind)}"]`)?.firstElementChild.cloneNode(true) ?? "";
  const doings = [...kept("doings").querySelectorAll("[data-do]")].map((each) => ({ kind: "action", title: each.textContent, does: each.dataset.do }));
  let hits = [];
  let chosen = 0;
  let asking = null;
  let timer = 0;

  function open() {
    if (palette.open || document.querySelector("dialog[open]")) return;
    ask.value = "";
    palette.showModal();
    ask.focus();
    void find();
  }

  async function find() {
    asking?.abort();
    asking = new AbortController();
    const asked = ask.value.trim();
    try {
      const answer = await fetch(`/api/search?q=${encodeURIComponent(asked)}`, { signal: asking.signal, headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const { items } = await answer.json();
      const actions = asked ? doings.filter((each) => each.title.toLowerCase().includes(asked.toLowerCase())) : [];
      show([...items, ...actions], false);
    } catch (error) {
      if (error.name !== "AbortError") show([], true);
    }
  }

  function show(found, hasFailed) {
    hits = found;
    chosen = 0;
    list.replaceChildren(...hits.map(row));
    none.hidden = hasFailed || hits.length > 0;
    failed.hidden = !hasFailed;
    choose(0);
  }

  function row(hit, place) {
    const made = document.createElement("li");
    made.id = `hit-${place}`;
    made.role = "option";
    made.dataset.place = place;
    const title = document.createElement("span");
    title.className = "palette-title";
    title.textContent = hit.title;
    const note = document.createElement("span");
    note.className = "palette-note";
    note.textContent = hit.note ?? "";
    const kind = document.createElement("span");
    kind.className = "palette-kind";
    kind.textContent = word(hit.kind);
    made.append(icon(hit.kind), title, note, kind);
    return made;
  }

  function choose(place) {
    if (!hits.length) {
      ask.removeAttribute("aria-activedescendant");
      return;
    }
    list.children[chosen]?.setAttribute("aria-selected", "false");
    chosen = (place + hits.length) % hits.length;
    const present = list.children[chosen];
    present.setAttribute("aria-selected", "true");
    present.scrollIntoView({ block: "nearest" });
    ask.setAttribute("aria-activedescendant", present.id);
  }

  function go(place, elsewhere) {
    const hit = hits[place];
    if (!hit) return;
    palette.close();
    if (hit.does) document.querySelector(`.side [data-action=${hit.does}]`)?.click();
    else if (elsewhere) window.open(hit.href, "_blank", "noopener");
    else location.assign(hit.href);
  }

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (palette.open) palette.close();
      else open();
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-action=palette]")) open();
    if (event.target === palette) palette.close();
  });
  ask.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(find, 80);
  });
  ask.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: chosen + 1, ArrowUp: chosen - 1, PageDown: Math.min(chosen + 8, hits.length - 1), PageUp: Math.max(chosen - 8, 0) };
    if (event.key in moves) {
      event.preventDefault();
      choose(moves[event.key]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      go(chosen, event.ctrlKey || event.metaKey);
    }
  });
  list.addEventListener("pointermove", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) choose(Number(option.dataset.place));
  });
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) go(Number(option.dataset.place), event.ctrlKey || event.metaKey);
  });
}

if (palette) start();
