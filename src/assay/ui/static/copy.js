// Copy buttons. Without a clipboard (plain HTTP on another host) the text is selected instead.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-action=copy]");
  if (!button) return;
  const source = button.closest("[data-copy]").querySelector("[data-copy-text]");
  const label = button.querySelector("[data-copy-label]");
  try {
    await navigator.clipboard.writeText(source.textContent);
    label.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    label.textContent = "Selected";
  }
  setTimeout(() => (label.textContent = "Copy"), 1600);
});
