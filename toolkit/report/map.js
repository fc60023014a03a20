// The name of a dot is shown under a pointer or finger, and for the arrow keys. The map can be enlarged.
for (const map of document.querySelectorAll("svg.map")) {
  const figure = map.closest("figure"), said = figure.querySelector("output"), whole = map.viewBox.baseVal.width;
  const dots = [...map.querySelectorAll("path")].map((mark) => {
    const { e, f } = mark.transform.baseVal.consolidate().matrix;
    return { mark, x: e, y: f };
  });
  const view = { x: 0, y: 0, side: whole };
  let current;
  const show = () => {
    view.x = Math.min(Math.max(view.x, 0), whole - view.side);
    view.y = Math.min(Math.max(view.y, 0), whole - view.side);
    map.setAttribute("viewBox", `${view.x} ${view.y} ${view.side} ${view.side}`);
    map.classList.toggle("near", view.side < whole);
    // dots keep their size, so that there is more room between them
    for (const { mark, x, y } of dots) mark.setAttribute("transform", `translate(${x} ${y}) scale(${view.side / whole})`);
  };
  const zoom = (by, at = current ?? { x: view.x + view.side / 2, y: view.y + view.side / 2 }) => {
    const side = Math.min(Math.max(view.side / by, whole / 16), whole);
    view.x = at.x - (at.x - view.x) * (side / view.side);
    view.y = at.y - (at.y - view.y) * (side / view.side);
    view.side = side;
    show();
  };
  const select = (dot) => {
    if (!dot || dot === current) return;
    current?.mark.classList.remove("current");
    current = dot;
    current.mark.classList.add("current");
    said.textContent = current.mark.textContent;
  };
  const nearest = (x, y, within, among) => {
    const far = (dot) => Math.hypot(dot.x - x, dot.y - y);
    const found = among.reduce((best, dot) => (!best || far(dot) < far(best) ? dot : best), undefined);
    return found && far(found) <= within ? found : undefined;
  };
  const place = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
  const point = (event) => {
    const { x, y } = place(event);
    select(nearest(x, y, (24 * view.side) / whole, dots));
  };
  map.addEventListener("pointermove", (event) => {
    if (!event.buttons || view.side === whole) return point(event);
    const scale = map.getScreenCTM().a;
    view.x -= event.movementX / scale;
    view.y -= event.movementY / scale;
    show();
  });
  map.addEventListener("pointerdown", point);
  map.addEventListener("dblclick", (event) => zoom(event.shiftKey ? 1 / 2 : 2, place(event)));
  map.addEventListener("keydown", (event) => {
    const by = { "+": 2, "=": 2, "-": 1 / 2, 0: 1 / 16 }[event.key];
    const [right, down] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] ?? [0, 0];
    if (event.ctrlKey || event.metaKey || (!by && !right && !down)) return;
    event.preventDefault();
    if (by) return zoom(by);
    if (!current) return select(dots[0]);
    const { x, y } = current;
    const ahead = (dot) => {
      const along = right * (dot.x - x) + down * (dot.y - y);
      return along > 0 && along >= Math.abs(down * (dot.x - x) + right * (dot.y - y));
    };
    select(nearest(x, y, Infinity, dots.filter(ahead)));
    const outside = (at, low) => at < low || at > low + view.side;
    if (outside(current.x, view.x)) view.x = current.x - view.side / 2;
    if (outside(current.y, view.y)) view.y = current.y - view.side / 2;
    show();
  });
  const buttons = figure.querySelector(".zoom");
  buttons.hidden = false;
  for (const button of buttons.querySelectorAll("button")) button.addEventListener("click", () => zoom(Number(button.value)));
}
