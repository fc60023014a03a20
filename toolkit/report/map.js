// The dots of a map say their names: under a pointer or finger, and to the arrow keys.
for (const map of document.querySelectorAll("svg.map")) {
  const said = map.parentNode.querySelector("output");
  const dots = [...map.querySelectorAll("path")].map((mark) => ({ mark, at: mark.transform.baseVal.consolidate().matrix }));
  let told;
  const tell = (dot) => {
    if (!dot || dot === told) return;
    told?.mark.classList.remove("told");
    told = dot;
    told.mark.classList.add("told");
    said.textContent = told.mark.textContent;
  };
  const nearest = (x, y, within, among) => {
    const far = ({ at }) => Math.hypot(at.e - x, at.f - y);
    const found = among.reduce((best, dot) => (!best || far(dot) < far(best) ? dot : best), undefined);
    return found && far(found) <= within ? found : undefined;
  };
  const point = (event) => {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
    tell(nearest(x, y, 24, dots));
  };
  map.addEventListener("pointermove", point);
  map.addEventListener("pointerdown", point);
  map.addEventListener("keydown", (event) => {
    const [right, down] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] ?? [0, 0];
    if (!right && !down) return;
    event.preventDefault();
    if (!told) return tell(dots[0]);
    const { e, f } = told.at;
    const ahead = ({ at }) => {
      const along = right * (at.e - e) + down * (at.f - f);
      return along > 0 && along >= Math.abs(down * (at.e - e) + right * (at.f - f));
    };
    tell(nearest(e, f, Infinity, dots.filter(ahead)));
  });
}
