// The log of an execution that goes on: new lines are added where they belong, as text.
// While following is off they are kept, and added when it is on again.

const MOST = 1000;
let kept = [];

const follow = () => document.querySelector("[data-spane-tail]");
follow()?.removeAttribute("hidden");

document.addEventListener("spane:lines", (event) => {
  kept = [...kept, ...event.detail].slice(-MOST);
  if (follow()?.querySelector("input").checked) add();
});
document.addEventListener("change", (event) => {
  if (event.target.closest("[data-spane-tail]") && event.target.checked) add();
});

function add() {
  const log = document.querySelector("#spane-log"), body = log?.querySelector("tbody");
  if (!body) return;
  const isNewestFirst = follow().dataset.order === "newest";
  const box = body.closest(".spane-scroll");
  const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 4;
  for (const told of kept.sort((one, other) => one[1].localeCompare(other[1]))) {
    // What the page had when it was made is told again if it came in between.
    if (told[0] && told[0] <= Number(body.dataset.last)) continue;
    isNewestFirst ? body.prepend(row(log, told)) : body.append(row(log, told));
  }
  kept = [];
  while (body.rows.length > MOST) (isNewestFirst ? body.lastElementChild : body.firstElementChild).remove();
  if (!isNewestFirst && atEnd) box.scrollTop = box.scrollHeight;
  log.querySelector("[data-spane-empty]")?.remove();
}

function row(log, [line, at, shown, level, icon, word, node, message, data]) {
  const row = log.querySelector("[data-spane-line]").content.cloneNode(true).firstElementChild;
  const [time, chip] = [row.querySelector("time"), row.querySelector(".spane-chip")];
  time.dateTime = time.title = at;
  time.textContent = shown;
  chip.classList.add(`spane-${level}`);
  chip.firstElementChild.textContent = icon;
  chip.lastElementChild.textContent = word;
  row.querySelector("code").textContent = node;
  row.querySelector(".spane-message").textContent = data ? `${message} ${data}` : message;
  if (!line) row.classList.add("spane-event");
  return row;
}
