// The page of an execution that goes on: the graph changes at once, the rest a little later.
// It asks no more once the execution has ended, and rests while nobody looks.

const QUICK = 1000, CALM = 5000, LONGEST = 30000, REFRESH = 3000;
const page = document.querySelector("[data-spane-live]");

if (page) follow(page);

function follow(page) {
  const nodes = new Map([...page.querySelectorAll(".spane-node:not(.spane-group)")].map((node) => [node.dataset.node, node]));
  let cursor = page.dataset.cursor, pause = QUICK, timer = null, stale = false, refreshed = Date.now();

  async function ask() {
    timer = null;
    if (document.hidden) return;
    let answer;
    try {
      const tail = page.querySelector("[data-spane-tail]")?.dataset.spaneTail.replace("?", "&") ?? "";
      const response = await fetch(`${page.dataset.spaneLive}?cursor=${encodeURIComponent(cursor)}${tail}`, { credentials: "same-origin" });
      if ([401, 403, 404].includes(response.status)) return say(page, (await response.json()).error);
      if (!response.ok) throw new Error(response.status);
      answer = await response.json();
    } catch {
      pause = Math.min(LONGEST, pause * 2);
      return wait();
    }
    cursor = answer.cursor;
    for (const told of answer.nodes) show(nodes.get(told[0]), told);
    if (answer.lines?.length) document.dispatchEvent(new CustomEvent("spane:lines", { detail: answer.lines }));
    stale ||= answer.changed;
    pause = answer.more ? 0 : answer.changed ? QUICK : Math.min(CALM, Math.max(QUICK, pause * 1.3));
    if (stale && (answer.done || Date.now() - refreshed > REFRESH)) {
      await refresh(page, answer.done).catch(() => {});
      [stale, refreshed] = [false, Date.now()];
    }
    if (!answer.done) wait();
  }

  function wait() { timer = setTimeout(ask, pause); }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && timer === null && cursor) { pause = QUICK; ask(); }
  });
  wait();
}

function show(node, [, status, icon, word]) {
  if (!node) return;
  node.setAttribute("class", node.getAttribute("class").replace(/ spane-(?!node|selected)\w+/, "") + ` spane-${status}`);
  node.querySelector(".spane-said").textContent = `${icon} ${word}`;
}

// What is not drawn is taken from the page as it is now, but for what somebody is using, and for
// a log that is followed line by line until its execution ends.
async function refresh(page, isLast = false) {
  const response = await fetch(location.href, { credentials: "same-origin" });
  if (!response.ok || response.redirected) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of page.querySelectorAll("[data-spane-part]")) {
    const now = fresh.querySelector(`[data-spane-part="${part.dataset.spanePart}"]`);
    const isUsed = part.contains(document.activeElement) || (getSelection().type === "Range" && part.contains(getSelection().anchorNode));
    const isFollowed = !isLast && part.querySelector("[data-spane-tail]");
    if (now && !isUsed && !isFollowed && now.innerHTML !== part.innerHTML) replace(part, now);
  }
  const lines = fresh.querySelectorAll(".spane-edge");
  page.querySelectorAll(".spane-edge").forEach((line, index) => line.setAttribute("class", lines[index]?.getAttribute("class") ?? "spane-edge"));
  for (const group of page.querySelectorAll(".spane-group")) {
    const now = fresh.querySelector(`.spane-group[data-node="${CSS.escape(group.dataset.node)}"]`);
    if (now) {
      group.setAttribute("class", now.getAttribute("class"));
      group.querySelector(".spane-said").textContent = now.querySelector(".spane-said").textContent;
    }
  }
}

function replace(part, now) {
  const places = [...part.querySelectorAll("[tabindex]")].map((box) => [box.scrollLeft, box.scrollTop]);
  part.innerHTML = now.innerHTML;
  part.querySelectorAll("[tabindex]").forEach((box, index) => box.scrollTo(...(places[index] ?? [0, 0])));
}

function say(page, code) {
  page.querySelector(`[data-spane-said="${code}"]`)?.removeAttribute("hidden");
}

// A page without a graph that goes on: it is read again until it says that it is over.
const whole = document.querySelector("#content-main:has([data-spane-follows])");
if (whole) {
  const again = setInterval(async () => {
    if (document.hidden) return;
    await refresh(whole).catch(() => {});
    if (!whole.querySelector("[data-spane-follows]")) clearInterval(again);
  }, 2000);
}

// A page that shows how things stand: it is read again every ten seconds.
const slow = document.querySelector("[data-spane-slow]");
if (slow) setInterval(() => { if (!document.hidden) refresh(slow).catch(() => {}); }, 10000);
