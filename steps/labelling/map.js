"use strict";
// A map of all images in two dimensions: draw around some with a mouse or a finger, and label them.
const plane = {points: [], members: [], chosen: new Set(), lasso: [], frame: [0, 0, 1, 1], timer: null};
const UNSEEN = 18, SHOWN = 48;  // pixels around a point that find it; chosen images shown below

async function loadMap() {
  await flushing;
  clearTimeout(plane.timer);
  if (over) return;
  const query = new URLSearchParams(filters());
  query.delete("order");
  let found;
  const given = () => state.given + waiting.length, before = given();
  try { found = await ask("map?" + query); } catch (error) { return over || tell(error.message); }
  if (view !== "map" || over) return;
  if (given() !== before) return loadMap();  // it does not have what was labelled meanwhile
  const hashes = new Map(plane.members.map((one, number) => [number, one.sha256]));
  const chosen = new Set([...plane.chosen].map(number => hashes.get(number)));
  plane.members = found.sha256.map((sha256, number) => ({sha256, point: found.stack[number], shown: found.shown[number], code: found.label[number], label: found.classes[found.label[number]] ?? null}));
  plane.points = found.x.map((x, number) => ({x, y: found.y[number], members: []}));
  plane.members.forEach((one, number) => plane.points[one.point].members.push(number));
  plane.chosen = new Set(plane.members.flatMap((one, number) => chosen.has(one.sha256) ? [number] : []));
  plane.making = found.making;
  if (found.making) plane.timer = setTimeout(() => view === "map" && !over && loadMap(), 1500);
  showMap();
}

const place_ = point => {
  const [left, top, wide, high] = plane.frame, {clientWidth: width, clientHeight: height} = at("plane");
  return [14 + (point.x - left) / wide * (width - 28), 14 + (point.y - top) / high * (height - 28)];
};

function showMap() {
  const canvas = at("plane"), scale = devicePixelRatio, style = getComputedStyle(document.body);
  canvas.width = canvas.clientWidth * scale; canvas.height = canvas.clientHeight * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const size = Math.min(1, .45 + canvas.clientWidth / 1500);
  pen.textAlign = "center"; pen.textBaseline = "middle"; pen.font = "600 10px system-ui";
  for (const point of plane.points) {
    const [x, y] = place_(point), members = point.members.map(number => plane.members[number]);
    const open = members.find(one => one.shown), label = (open ?? members[0])?.label;
    const radius = size * (members.length > 1 ? Math.min(13, 5 + Math.sqrt(members.length)) : 4);
    pen.globalAlpha = open ? 1 : .5;
    pen.fillStyle = label ? colour(label) : "#8b949e";
    pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.fill();
    pen.globalAlpha = 1;
    if (point.members.some(number => plane.chosen.has(number))) {
      pen.strokeStyle = "#fff"; pen.lineWidth = 4 * size; pen.stroke();
      pen.strokeStyle = style.getPropertyValue("--accent"); pen.lineWidth = 2.5 * size; pen.stroke();
    }
    if (radius > 6) { pen.fillStyle = "#fff"; pen.fillText(members.length, x, y); }
  }
  if (plane.lasso.length > 1) {
    pen.beginPath(); plane.lasso.forEach(([x, y]) => pen.lineTo(x, y)); pen.closePath();
    pen.globalAlpha = .18; pen.fillStyle = pen.strokeStyle = style.getPropertyValue("--accent"); pen.fill();
    pen.globalAlpha = 1; pen.lineWidth = 1.5; pen.stroke();
  }
  sayMap();
}

function sayMap() {
  const open = plane.members.filter(one => one.shown).length, count = plane.chosen.size;
  const none = state.features ? "The map is being made." : "The images are being compared: features are computed in the background. Come back in a minute.";
  const what = count ? `${count} chosen: give them a label, or tap an image below to leave it out` : "draw around images with the mouse or a finger, or click a point";
  at("plane-text").textContent = plane.points.length ? `${what}. ${open} of ${plane.members.length} images fit the filters${plane.making ? "; a better map is being made" : ""}` : none;
  const cells = [...plane.chosen].slice(0, SHOWN).map(number => made("button", {className: "frame inside", onclick: () => { plane.chosen.delete(number); showMap(); }},
    made("img", {src: address(plane.members[number].sha256, 160), alt: `chosen image, ${plane.members[number].label ?? "no label"}; leave it out`})));
  at("chosen-images").replaceChildren(...cells, ...count > SHOWN ? [made("span", {}, `and ${count - SHOWN} more`)] : []);
  at("live").textContent = count ? `${count} images chosen` : "";
}

function isInside([x, y], line) {
  let inside = false;
  line.forEach(([x1, y1], number) => {
    const [x2, y2] = line.at(number - 1);
    if ((y1 > y) !== (y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1) inside = !inside;
  });
  return inside;
}

function nearestPoint([x, y]) {
  const distance = point => { const [px, py] = place_(point); return Math.hypot(px - x, py - y); };
  const nearest = plane.points.reduce((best, point) => !best || distance(point) < distance(best) ? point : best, null);
  return nearest && distance(nearest) < UNSEEN ? nearest : null;
}

function choosePoints(more) {
  const drawn = plane.lasso.length > 3, one = drawn ? null : nearestPoint(plane.lasso[0]);
  const points = drawn ? plane.points.filter(point => isInside(place_(point), plane.lasso)) : one ? [one] : [];
  const found = points.flatMap(point => point.members).filter(number => plane.members[number].shown);
  plane.chosen = new Set([...more ? plane.chosen : [], ...found]);
  plane.lasso = [];
  showMap();
}

function giveOnMap(label, how) {
  const given = [...plane.chosen].map(number => plane.members[number]);
  if (!given.length) return hint("choose images first: draw around some of them");
  save(given.map(one => one.sha256), label, label === null ? how : "map");
  const stay = at("filters").querySelector("form").show.value;
  for (const one of given) Object.assign(one, {label, shown: stay === "all" || stay === (label === null ? "unsure" : "labelled")});
  plane.chosen.clear();
  showMap();
}

function zoomMap() {
  const far = plane.frame[2] === 1 && plane.chosen.size;
  const points = [...plane.chosen].map(number => plane.points[plane.members[number].point]);
  const low = key => Math.min(...points.map(point => point[key])), wide = key => Math.max(.02, Math.max(...points.map(point => point[key])) - low(key));
  plane.frame = far ? [low("x"), low("y"), wide("x"), wide("y")] : [0, 0, 1, 1];
  at("zoom").setAttribute("aria-pressed", Boolean(far));
  if (!far && !plane.chosen.size) hint("choose images first: Z shows them larger, and all again");
  showMap();
}

function chooseAllOnMap() {
  const open = plane.members.flatMap((one, number) => one.shown ? [number] : []);
  plane.chosen = new Set(plane.chosen.size === open.length ? [] : open);
  showMap();
}

{
  const canvas = at("plane"), spot = event => [event.offsetX, event.offsetY];
  canvas.onpointerdown = event => { canvas.setPointerCapture(event.pointerId); plane.lasso = [spot(event)]; };
  canvas.onpointermove = event => {
    if (plane.lasso.length) { plane.lasso.push(spot(event)); return requestAnimationFrame(showMap); }
    const near = nearestPoint(spot(event)), shown = at("near");
    shown.hidden = !near;
    if (near) { shown.src = address(plane.members[near.members[0]].sha256, 320); shown.style.left = event.offsetX > canvas.clientWidth / 2 ? ".5rem" : "auto"; }
  };
  canvas.onpointerup = event => plane.lasso.length && choosePoints(event.shiftKey || at("add").checked);
  canvas.onpointercancel = () => { plane.lasso = []; showMap(); };
  canvas.onpointerleave = () => { at("near").hidden = true; };
}
