"use strict";
// Regions of interest and privacy masks of a device, drawn on one of its images.
const area = {device: null, start: 0, image: null, drawn: {}, from: null, to: null};
const KINDS = {regions: "#3fb950", privacy_masks: "#f85149"};
const kindOf = () => document.querySelector("[name=kind]:checked").value;
const drawnAll = kind => area.drawn[kind] ??= {};
const rectangles = kind => drawnAll(kind)[area.device] ?? drawnAll(kind)[""] ?? [];  // without its own, a device has those of all
const asText = one => one.map(number => Number(number.toFixed(3))).join(",");

async function loadRegions() {
  if (!Object.keys(area.drawn).length) {
    for (const device in state.regions) (area.drawn.regions ??= {})[device] = [state.regions[device]];
    for (const device in state.privacy_masks) (area.drawn.privacy_masks ??= {})[device] = state.privacy_masks[device];
  }
  const device = area.device = at("area-device").value;
  area.image = area.from = null;  // what it shows is of another device
  showRegions();
  const query = new URLSearchParams({order: "control", show: "all", device, start: area.start, count: 1});
  let found;
  try { found = await ask("next?" + query); } catch (error) { return tell(error.message); }
  if (device !== area.device) return;
  area.start = found.next ?? 0;
  if (!found.images.length) return hint("this device has no image");
  const image = made("img", {src: address(found.images[0].sha256, 1280)});
  image.onload = () => { if (device === area.device) { area.image = image; showRegions(); } };
  image.onerror = () => { if (device === area.device) hint("this image can no longer be read; press Another image"); };
}

function fitted() {  // where the image lies in the canvas: left, top, width, height
  const {clientWidth: width, clientHeight: height} = at("area"), {naturalWidth: w, naturalHeight: h} = area.image;
  const scale = Math.min(width / w, height / h);
  return [(width - w * scale) / 2, (height - h * scale) / 2, w * scale, h * scale];
}

function drawnNow() {
  const far = kindOf() === "regions" ? Math.floor : Math.ceil;  // a mask is not smaller than what was drawn
  const [[x, width], [y, height]] = [0, 1].map(axis => {
    const [low, high] = [area.from[axis], area.to[axis]].map(value => 1000 * value).sort((one, other) => one - other);
    return [Math.floor(low), far(high) - Math.floor(low)];
  });
  return [x, y, width, height].map(value => value / 1000);
}

function showRegions() {
  const canvas = at("area"), scale = devicePixelRatio, pen = canvas.getContext("2d");
  canvas.width = canvas.clientWidth * scale; canvas.height = canvas.clientHeight * scale;
  pen.scale(scale, scale);
  if (!area.image) return showOthers();
  const [left, top, width, height] = fitted();
  const part = ([x, y, w, h]) => [left + x * width, top + y * height, w * width, h * height];
  pen.drawImage(area.image, left, top, width, height);
  const now = kind => [...rectangles(kind), ...area.from && kind === kindOf() ? [drawnNow()] : []];
  for (const one of now("privacy_masks")) { pen.fillStyle = "#000"; pen.fillRect(...part(one)); }
  const region = now("regions").at(-1);
  if (region) {  // what the model does not see is darkened
    const path = new Path2D();
    path.rect(left, top, width, height);
    path.rect(...part(region));
    pen.fillStyle = "#000a";
    pen.fill(path, "evenodd");
  }
  for (const kind in KINDS) for (const one of kind === "regions" ? region ? [region] : [] : now(kind)) {
    pen.strokeStyle = KINDS[kind]; pen.lineWidth = 2; pen.strokeRect(...part(one));
  }
  showOthers();
}

async function writeAreas() {
  const regions = Object.fromEntries(Object.entries(drawnAll("regions")).map(([device, [one]]) => [device, one]));
  const masks = {...drawnAll("privacy_masks")}, before = {regions: state.regions, privacy_masks: state.privacy_masks};
  try {
    await ask("areas", {regions, privacy_masks: masks, before});
    Object.assign(state, {regions, privacy_masks: masks});
    at("written").textContent = `Written into ${state.profile}. The next ingest and training read it.`;
  } catch (error) { at("written").textContent = error.message; }
}

function showOthers() {
  const own = rectangles("regions")[0], masks = rectangles("privacy_masks").map(one => `[${asText(one)}]`).join(", "), ofAll = drawnAll("privacy_masks");
  const shared = ofAll[""] && !ofAll[area.device] ? " (so far those of all devices; what you draw is added to them, for this device)" : "";
  at("one-region").replaceChildren(...own ? ["For all devices, without a profile: ", made("code", {}, `-P region=${asText(own)}`)] : [],
    ...masks ? [` In agent.toml of the device, below [camera]${shared}: `, made("code", {}, `privacy_masks = [${masks}]`)] : []);
  at("numbers").value = (rectangles(kindOf()).at(-1) ?? []).join(",");
}

function addRectangle(one) {
  const kind = kindOf();
  drawnAll(kind)[area.device] = [...kind === "regions" ? [] : rectangles(kind), one];
  showRegions();
}

{
  const canvas = at("area");
  const spot = event => {
    const [left, top, width, height] = fitted();
    return [(event.offsetX - left) / width, (event.offsetY - top) / height].map(value => Math.min(1, Math.max(0, value)));
  };
  canvas.onpointerdown = event => { if (area.image) { canvas.setPointerCapture(event.pointerId); area.from = area.to = spot(event); } };
  canvas.onpointermove = event => { if (area.from) { area.to = spot(event); showRegions(); } };
  canvas.onpointerup = () => {
    if (!area.from) return;
    const one = drawnNow();
    area.from = null;
    if (one[2] > .01 && one[3] > .01) addRectangle(one); else showRegions();
  };
  canvas.onpointercancel = () => { area.from = null; showRegions(); };
  at("area-device").onchange = () => { area.start = 0; loadRegions(); };
  at("other-frame").onclick = loadRegions;
  at("clear").onclick = () => { delete drawnAll(kindOf())[area.device]; showRegions(); };
  for (const one of document.querySelectorAll("[name=kind]")) one.onchange = showRegions;
  at("numbers").onchange = event => {
    const one = event.target.value.split(",").map(Number), [x, y, w, h] = one;
    if (one.length === 4 && x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= 1 && y + h <= 1) addRectangle(one);
    else { hint("give x,y,width,height in fractions of the image: 0.2,0,0.8,1"); showRegions(); }
  };
  at("write-areas").onclick = writeAreas;
}
