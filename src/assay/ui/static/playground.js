// The playground: what the form says goes to each column's target, and the answers come word by word.
const draft = document.getElementById("draft");
const KEPT = "assay-playground";
const ROLES_OF_PROMPTS = new Set(["system", "developer", "user", "assistant"]);

const one = (name, within = document) => within.querySelector(`[data-${name}]`);
const all = (name, within = document) => [...within.querySelectorAll(`[data-${name}]`)];
const running = new Map(); // column → AbortController

// ---- the form

function addMessage(role = "user", content = "") {
  const row = document.getElementById("message-row").content.firstElementChild.cloneNode(true);
  one("role", row).value = role;
  one("content", row).value = content;
  one("content", row).classList.toggle("mono", role === "raw");
  one("messages").append(row);
  return row;
}

function addColumn(target) {
  const columns = one("columns");
  if (columns.childElementCount >= Number(draft.dataset.mostColumns)) return null;
  const column = document.getElementById("column").content.firstElementChild.cloneNode(true);
  const select = one("target", column);
  const taken = new Set(all("target", columns).map((each) => each.value));
  const free = [...select.options].map((option) => option.value).find((value) => !taken.has(value));
  select.value = target ?? free ?? select.options[0].value;
  columns.append(column);
  arrange();
  return column;
}

function arrange() {
  const count = one("columns").childElementCount;
  document.querySelector("[data-action=add-column]").hidden = count >= Number(draft.dataset.mostColumns);
  for (const button of document.querySelectorAll("[data-action=remove-column]")) button.hidden = count < 2;
}

class Unreadable extends Error {}

function json(name) {
  const field = one(`json='${name}'`, draft);
  const error = one(`json-error='${name}'`, draft);
  error.hidden = true;
  field.removeAttribute("aria-invalid");
  if (!field.value.trim()) return null;
  try {
    return JSON.parse(field.value);
  } catch (problem) {
    error.hidden = false;
    error.querySelector("span").textContent = problem.message;
    field.setAttribute("aria-invalid", "true");
    field.closest("details").open = true;
    field.focus();
    throw new Unreadable(problem.message);
  }
}

function rows() {
  return all("message", draft)
    .map((row) => ({ role: one("role", row).value, content: one("content", row).value, row }))
    .filter(({ content }) => content.trim());
}

function parameters() {
  const made = { ...json("more") };
  for (const field of all("number", draft)) if (field.value !== "") made[field.dataset.number] = Number(field.value);
  const tools = json("tools");
  if (tools) made.tools = tools;
  const schema = json("schema");
  if (schema) made.response_format = schema.type === "json_schema" ? schema : { type: "json_schema", json_schema: { name: "answer", schema, strict: true } };
  return made;
}

function messageOf({ role, content, row }) {
  if (role !== "raw") return { role, content };
  try {
    return JSON.parse(content);
  } catch (problem) {
    one("content", row).setAttribute("aria-invalid", "true");
    one("content", row).focus();
    throw new Unreadable(problem.message);
  }
}

// Placeholders are filled by the server, whose template language it is.
async function filled(messages, inputs) {
  const places = messages.flatMap((message, place) => (ROLES_OF_PROMPTS.has(message.role) && typeof message.content === "string" && /\{\{|\{%/.test(message.content) ? [place] : []));
  if (!inputs || !places.length) return messages;
  const answer = await send("/api/prompts/render", { messages: places.map((place) => messages[place]), inputs });
  const made = [...messages];
  answer.messages.forEach((message, at) => (made[places[at]] = message));
  return made;
}

async function send(address, body, signal) {
  const answer = await fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf-token": draft.dataset.csrf },
    body: JSON.stringify(body),
    signal,
  });
  if (answer.ok) return answer.headers.get("content-type").startsWith("text/event-stream") ? answer : answer.json();
  const said = await answer.json().catch(() => null);
  throw Object.assign(new Error(said?.error?.message ?? `HTTP ${answer.status}`), { hint: said?.error?.hint });
}

// ---- asking

async function ask() {
  const problem = one("draft-problem");
  problem.hidden = true;
  let messages, sent, inputs;
  try {
    inputs = json("inputs");
    sent = parameters();
    messages = rows().map(messageOf);
    const columns = all("column");
    const needsMessages = columns.some((column) => !one("target", column).value.startsWith("task:"));
    if ((needsMessages || !inputs) && !messages.some((message) => message.role !== "system" && message.role !== "developer")) {
      throw new Unreadable(one("text-nothing").textContent);
    }
    messages = await filled(messages, inputs);
  } catch (error) {
    problem.textContent = [error.message, error.hint].filter(Boolean).join(" ");
    problem.hidden = false;
    return;
  }
  stop();
  for (const column of all("column")) {
    const target = one("target", column).value;
    const isTask = target.startsWith("task:");
    // A variant brings its own messages: with inputs those of the form are not for it.
    const own = isTask ? (inputs ? [] : messages.filter((message) => message.role !== "system" && message.role !== "developer")) : messages;
    void answer(column, { target, messages: own, parameters: sent, ...(isTask && inputs ? { inputs } : {}) });
  }
  busy();
  if (innerWidth < 960) one("columns").scrollIntoView({ block: "start" });
}

async function answer(column, body) {
  const abort = new AbortController();
  running.set(column, abort);
  clear(column);
  const began = performance.now();
  const clock = setInterval(() => {
    one("clock", column).textContent = `${new Intl.NumberFormat(document.documentElement.lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 }).format((performance.now() - began) / 1000)} s`;
  }, 100);
  const heard = new Hearing(column);
  try {
    const stream = await send("/api/playground/calls", body, abort.signal);
    await read(stream.body, heard);
    if (column.dataset.state === "waiting" || column.dataset.state === "speaking") heard.error({ message: one("text-lost").textContent });
  } catch (error) {
    if (abort.signal.aborted) {
      say(column, "stopped");
      if (column.dataset.traceId) heard.leadTo(column.dataset.traceId);
    }
    else heard.error({ message: error.message, hint: error.hint });
  } finally {
    clearInterval(clock);
    if (running.get(column) === abort) running.delete(column);
    one("clock", column).textContent = "";
    heard.over();
    busy();
  }
}

async function read(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const events = buffer.split("\n\n");
    buffer = events.pop();
    for (const event of events) {
      let name = "message";
      const text = [];
      for (const line of event.split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        else if (line.startsWith("data: ")) text.push(line.slice(6));
      }
      heard[name]?.(JSON.parse(text.join("\n")));
    }
  }
}

class Hearing {
  constructor(column) {
    this.column = column;
    this.text = [];
    this.reasoning = [];
    this.calls = new Map();
    this.drawing = 0;
    this.hasFailed = false;
  }

  asked({ trace_id }) {
    this.column.dataset.traceId = trace_id;
  }

  start() {
    say(this.column, "speaking");
  }

  chunk(chunk) {
    const choice = chunk.choices?.[0];
    const delta = choice?.delta ?? {};
    if (delta.content) this.text.push(delta.content);
    if (delta.refusal) this.text.push(delta.refusal);
    if (delta.reasoning_content ?? delta.reasoning) this.reasoning.push(delta.reasoning_content ?? delta.reasoning);
    for (const part of delta.tool_calls ?? []) {
      const call = this.calls.get(part.index) ?? { id: "", name: "", arguments: "" };
      call.id += part.id ?? "";
      call.name += part.function?.name ?? "";
      call.arguments += part.function?.arguments ?? "";
      this.calls.set(part.index, call);
    }
    if (!this.drawing) this.drawing = requestAnimationFrame(() => this.draw());
  }

  error({ message, hint, trace_id }) {
    this.hasFailed = true;
    say(this.column, "failed");
    one("problem", this.column).hidden = false;
    one("problem-text", this.column).textContent = message;
    one("problem-hint", this.column).textContent = hint ?? "";
    if (trace_id) this.leadTo(trace_id);
  }

  done(figures) {
    if (!this.hasFailed) say(this.column, "done");
    for (const [name, value] of Object.entries(figures.shown)) {
      const place = one(`figure='${name}'`, this.column);
      if (!place) continue;
      place.textContent = value;
      place.parentElement.hidden = !value;
    }
    one("figures", this.column).hidden = false;
    this.leadTo(figures.trace_id, figures.span_id);
  }

  leadTo(trace, span) {
    this.column.dataset.traceId = trace;
    this.column.dataset.spanId = span ?? "";
    one("trace", this.column).href = `/traces/${encodeURIComponent(trace)}${span ? `?span=${encodeURIComponent(span)}` : ""}`;
    one("after", this.column).hidden = false;
  }

  draw() {
    this.drawing = 0;
    const place = one("text", this.column);
    const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
    place.textContent = this.text.join("");
    if (atEnd) place.scrollTop = place.scrollHeight;
    one("reasoning", this.column).hidden = !this.reasoning.length;
    one("reasoning-text", this.column).textContent = this.reasoning.join("");
    const calls = one("calls", this.column);
    calls.replaceChildren(
      ...[...this.calls.values()].map((call) => {
        const shown = document.getElementById("call").content.firstElementChild.cloneNode(true);
        one("call-name", shown).textContent = call.name;
        one("call-arguments", shown).textContent = call.arguments;
        return shown;
      }),
    );
    this.column.message = {
      role: "assistant",
      content: this.text.join("") || null,
      ...(this.calls.size ? { tool_calls: [...this.calls.values()].map((call) => ({ id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } })) } : {}),
    };
  }

  over() {
    if (this.drawing) cancelAnimationFrame(this.drawing);
    this.draw();
    if (!this.text.length && !this.calls.size) this.column.message = null;
    for (const button of this.column.querySelectorAll("[data-action=continue], [data-action=open-case]")) button.hidden = !this.column.message;
    this.column.removeAttribute("aria-busy");
  }
}

function say(column, state) {
  column.dataset.state = state;
}

function clear(column) {
  say(column, "waiting");
  column.setAttribute("aria-busy", "true");
  column.message = null;
  delete column.dataset.traceId;
  delete column.dataset.spanId;
  for (const name of ["problem", "reasoning", "figures", "after"]) one(name, column).hidden = true;
  one("text", column).textContent = "";
  one("calls", column).replaceChildren();
}

function stop() {
  for (const abort of running.values()) abort.abort();
}

function busy() {
  document.querySelector("[data-action=stop]").hidden = running.size === 0;
}

// ---- going on, and keeping

function goOn(column) {
  const { message } = column;
  if (!message) return;
  if (message.tool_calls) {
    addMessage("raw", JSON.stringify(message, null, 2));
    for (const call of message.tool_calls) addMessage("raw", JSON.stringify({ role: "tool", tool_call_id: call.id, content: "" }, null, 2));
    one("messages").lastElementChild.querySelector("textarea").focus();
  } else {
    addMessage("assistant", message.content ?? "");
    one("content", addMessage("user")).focus();
  }
  remember();
}

function lastQuestion() {
  const inputs = one("json='inputs'", draft).value.trim();
  if (inputs) return inputs;
  return rows().findLast(({ role }) => role === "user")?.content ?? "";
}

function openSaving(kind, column) {
  const dialog = document.getElementById(`save-${kind}`);
  one("save-problem", dialog).hidden = true;
  one("save-done", dialog).hidden = true;
  if (column) {
    dialog.column = column;
    dialog.querySelector("[name=input]").value = lastQuestion();
    dialog.querySelector("[name=reference]").value = column.message?.content ?? "";
  }
  dialog.showModal();
}

function given(text) {
  // An object when it is one, else the text itself.
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : text;
  } catch {
    return text;
  }
}

async function keep(form) {
  const kind = form.dataset.save;
  const dialog = form.closest("dialog");
  const fields = Object.fromEntries(new FormData(form));
  const problem = one("save-problem", form);
  problem.hidden = true;
  try {
    let address, said;
    if (kind === "prompt") {
      const messages = rows().map(messageOf);
      const answer = await send("/api/prompts", {
        name: fields.name,
        messages: messages.map(({ role, content }) => ({ role, content })),
        notes: fields.notes || null,
        labels: fields.label ? [fields.label] : [],
      });
      [address, said] = [`/prompts/${encodeURIComponent(answer.name)}?version=${answer.version}`, `${answer.name} v${answer.version}`];
    } else {
      const { column } = dialog;
      const answer = await send("/api/playground/cases", {
        dataset: fields.dataset,
        input: given(fields.input),
        reference: fields.reference || null,
        trace_id: column.dataset.traceId || null,
        span_id: column.dataset.spanId || null,
      });
      [address, said] = [`/datasets/${encodeURIComponent(answer.dataset)}?version=${answer.version}`, `${answer.dataset} v${answer.version}`];
    }
    const done = one("save-done", form);
    done.hidden = false;
    done.querySelector("a").href = address;
    done.querySelector("a").textContent = said;
  } catch (error) {
    problem.textContent = [error.message, error.hint].filter(Boolean).join(" ");
    problem.hidden = false;
  }
}

// ---- what was typed outlives the page

function remember() {
  const state = {
    messages: all("message", draft).map((row) => [one("role", row).value, one("content", row).value]),
    numbers: Object.fromEntries(all("number", draft).map((field) => [field.dataset.number, field.value])),
    json: Object.fromEntries(all("json", draft).map((field) => [field.dataset.json, field.value])),
    targets: all("target", one("columns")).map((select) => select.value),
  };
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(state));
  } catch {
    // A browser that keeps nothing: the form lives as long as the page.
  }
}

function recall() {
  let state;
  try {
    state = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  } catch {
    return;
  }
  if (!state) return;
  one("messages").replaceChildren();
  for (const [role, content] of state.messages) addMessage(role, content);
  for (const field of all("number", draft)) field.value = state.numbers[field.dataset.number] ?? "";
  for (const field of all("json", draft)) {
    field.value = state.json[field.dataset.json] ?? "";
    field.closest("details").open = Boolean(field.value);
  }
  const known = new Set([...document.getElementById("column").content.querySelector("[data-target]").options].map((option) => option.value));
  const targets = state.targets.filter((target) => known.has(target));
  if (targets.length) {
    one("columns").replaceChildren();
    targets.forEach(addColumn);
  }
}

// ---- the page

const actions = {
  "add-message": () => one("content", addMessage()).focus(),
  "remove-message": (button) => button.closest("[data-message]").remove(),
  "add-column": () => one("target", addColumn() ?? document)?.focus(),
  "remove-column": (button) => {
    const column = button.closest("[data-column]");
    running.get(column)?.abort();
    column.remove();
    arrange();
  },
  "stop-column": (button) => running.get(button.closest("[data-column]"))?.abort(),
  stop,
  continue: (button) => goOn(button.closest("[data-column]")),
  "open-prompt": () => openSaving("prompt"),
  "open-case": (button) => openSaving("case", button.closest("[data-column]")),
  afresh: () => sessionStorage.removeItem(KEPT),
};

if (draft) {
  if (!location.search) recall();
  arrange();
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-action]");
    const action = actions[button?.dataset.action];
    if (!action) return;
    action(button);
    if (button.dataset.action !== "afresh") remember();
  });
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-role]")) return;
    one("content", event.target.closest("[data-message]")).classList.toggle("mono", event.target.value === "raw");
  });
  document.addEventListener("input", remember);
  draft.addEventListener("submit", (event) => {
    event.preventDefault();
    void ask();
  });
  for (const form of document.querySelectorAll("[data-save]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void keep(form);
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      void ask();
    }
  });
}
