// Graphs: zoom with the buttons, Ctrl and the wheel, or + and -; pan by dragging; arrow keys go
// from node to node.  Everything else, the links included, works without this file.

const LEAST = 0.1, MOST = 2.5, READABLE = 0.6;

for (const graph of document.querySelectorAll("[data-spane-graph]")) begin(graph);

function begin(graph) {
  const view = graph.querySelector(".spane-graph-view");
  const svg = view.querySelector("svg");
  const full = { width: svg.viewBox.baseVal.width, height: svg.viewBox.baseVal.height };
  let scale = 1;

  function zoom(to, at = { x: view.clientWidth / 2, y: view.clientHeight / 2 }) {
    const before = scale;
    scale = Math.min(MOST, Math.max(LEAST, to));
    svg.setAttribute("width", full.width * scale);
    svg.setAttribute("height", full.height * scale);
    view.scrollLeft = ((view.scrollLeft + at.x) * scale) / before - at.x;
    view.scrollTop = ((view.scrollTop + at.y) * scale) / before - at.y;
  }

  const fitting = () => Math.min(1, view.clientWidth / full.width, 640 / full.height);
  const steps = { in: () => zoom(scale * 1.25), out: () => zoom(scale / 1.25), fit: () => zoom(fitting()) };
  const tools = graph.querySelector(".spane-graph-tools");
  tools.hidden = false;
  tools.addEventListener("click", (event) => steps[event.target.dataset.zoom]?.());
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = view.getBoundingClientRect();
    zoom(scale * Math.exp(-event.deltaY / 300), { x: event.clientX - box.x, y: event.clientY - box.y });
  }, { passive: false });
  drag(view);
  walk(view, [...svg.querySelectorAll(".spane-node")], steps);
  zoom(Math.max(fitting(), READABLE));
  svg.querySelector(".spane-selected")?.scrollIntoView({ block: "nearest", inline: "center" });
}

function drag(view) {
  let from = null, moved = false;
  view.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    from = { x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop };
    moved = false;
  });
  window.addEventListener("pointermove", (event) => {
    if (!from) return;
    const left = from.x - event.clientX, top = from.y - event.clientY;
    moved ||= Math.abs(left - view.scrollLeft) + Math.abs(top - view.scrollTop) > 4;
    if (moved) view.scrollTo(left, top);
  });
  window.addEventListener("pointerup", () => { from = null; });
  view.addEventListener("click", (event) => { if (moved) event.preventDefault(); moved = false; }, true);
  view.addEventListener("dragstart", (event) => event.preventDefault());
}

// One stop of the tab key for the whole graph; the arrows go to the nearest node on that side.
function walk(view, nodes, steps) {
  if (!nodes.length) return;
  let current = nodes.find((node) => node.classList.contains("spane-selected")) ?? nodes[0];
  for (const node of nodes) node.setAttribute("tabindex", node === current ? "0" : "-1");
  view.tabIndex = -1;
  view.addEventListener("focusin", (event) => {
    const node = event.target.closest(".spane-node");
    if (!node || node === current) return;
    current.setAttribute("tabindex", "-1");
    node.setAttribute("tabindex", "0");
    current = node;
  });
  view.addEventListener("keydown", (event) => {
    const step = { "+": steps.in, "=": steps.in, "-": steps.out, 0: steps.fit }[event.key];
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (step) step();
    else if (way) nearest(nodes, current, way)?.focus();
    else return;
    event.preventDefault();
  });
}

function nearest(nodes, from, [x, y]) {
  const at = place(from);
  let best = null, least = Infinity;
  for (const node of nodes) {
    const to = place(node), along = (to.x - at.x) * x + (to.y - at.y) * y;
    const aside = Math.abs((to.x - at.x) * y) + Math.abs((to.y - at.y) * x);
    if (node === from || along <= 1) continue;
    if (along + 2 * aside < least) [best, least] = [node, along + 2 * aside];
  }
  return best;
}

function place(node) {
  const { e, f } = node.transform.baseVal.consolidate().matrix;
  return { x: e, y: f };
}
