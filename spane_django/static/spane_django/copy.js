// Puts a button beside every text that is there to be copied; without scripts it is selected by hand.

for (const text of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button spane-copy";
  button.textContent = text.dataset.copy;
  button.addEventListener("click", async () => {
    await copy(text);
    button.textContent = text.dataset.copied;
    setTimeout(() => { button.textContent = text.dataset.copy; }, 2000);
  });
  text.before(button);
}

async function copy(element) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(element.textContent);
    return;
  }
  // Without HTTPS there is no clipboard but that of the selection.
  getSelection().selectAllChildren(element);
  document.execCommand("copy");
}
