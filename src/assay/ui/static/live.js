// The live tail. The server's events carry rows of the table, the newest first, and as their id the place to go on from.
const place = document.querySelector("[data-live][data-stream]:not([data-stream=''])");
const MOST = 200; // rows in the page; older ones leave it, the list of traces has them

function start(live) {
  const rows = live.querySelector("table.live-rows tbody");
  const part = (name) => live.querySelector(`[data-${name}]`);
  const button = live.querySelector("[data-action=pause]");
  let source = null;
  let last = null; // the id after what is shown
  let pending = []; // what came since the last frame
  let waiting = 0;
  let shown = 0;
  let paused = false;
  let retry = 0;

  const say = (state) => (live.dataset.state = state);

  function open() {
    const address = new URL(live.dataset.stream, location.href);
    if (last) address.searchParams.set("after", last);
    source = new EventSource(address);
    source.addEventListener("open", () => say(paused ? "paused" : "live"));
    source.addEventListener("spans", take);
    source.addEventListener("passed_over", () => (part("passed-over").hidden = false));
    source.addEventListener("trouble", () => say("trouble"));
    source.addEventListener("error", failed);
  }

  function close() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  function failed() {
    if (paused) return;
    say("lost");
    if (source?.readyState === EventSource.CLOSED) {
      // Refused outright: a browser gives up then, this page does not.
      close();
      retry = setTimeout(open, 5000);
    }
  }

  function take(event) {
    const fresh = [...new DOMParser().parseFromString(`<table><tbody>${event.data}`, "text/html").querySelectorAll("tr")];
    if (paused) {
      waiting += fresh.length;
      part("waiting-count").textContent = waiting;
      part("waiting").hidden = false;
      return;
    }
    say("live");
    last = event.lastEventId || last;
    if (!pending.length) requestAnimationFrame(draw);
    pending.push(fresh);
    shown += fresh.length;
    if (pending.length > 2) pending.shift(); // each may hold a whole page: what would leave it at once is not drawn
  }

  function draw() {
    for (const fresh of pending) {
      for (const row of fresh.reverse()) {
        rows.querySelector(`[data-span="${CSS.escape(row.dataset.span)}"]`)?.remove(); // a newer version of the same span
        row.classList.add("fresh");
        rows.prepend(row);
      }
    }
    pending = [];
    while (rows.childElementCount > MOST && !rows.lastElementChild.contains(document.activeElement)) rows.lastElementChild.remove();
    part("shown-count").textContent = shown.toLocaleString(document.documentElement.lang);
    part("none").hidden = true;
    part("some").hidden = false;
  }

  function pause(wish) {
    paused = wish;
    button.setAttribute("aria-pressed", String(paused));
    if (paused) {
      say("paused");
      return;
    }
    waiting = 0;
    part("waiting").hidden = true;
    close(); // what came meanwhile was counted, not kept: it is asked for again
    say("connecting");
    open();
  }

  button.addEventListener("click", () => pause(!paused));
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    const typing = event.target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (event.key !== "p" || typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    pause(!paused);
  });
  // A browser has few connections for one server: a page that nobody sees gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!source) open();
  });
  addEventListener("pagehide", close);
  open();
}

if (place) start(place);
