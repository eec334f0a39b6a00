// The viewer of one scan: three slices through a point, drawn from the data in this page. Needs nothing else.
//
// Points are voxel indices [z, y, x] of the base grid, voxel centres at whole numbers. A layer is a box of voxels of
// `step` base voxels each, whose first outer edge lies at `first`. Patient's right is on the left of the screen.
"use strict";

const WINDOWS = { lung: [-600, 1500], "soft tissue": [40, 400], bone: [400, 1800] };
const PLANES = [
  { name: "axial", across: 0, right: 2, down: 1, headUp: false, letters: ["R", "L", "A", "P"] },
  { name: "coronal", across: 1, right: 2, down: 0, headUp: true, letters: ["R", "L", "H", "F"] },
  { name: "sagittal", across: 2, right: 1, down: 0, headUp: true, letters: ["A", "P", "H", "F"] },
];
const THUMB_MM = 40;
const PICTURE_MM = 60;
const FAINT = 26; // of 255: a probability below 0.1 is not shown

const about = JSON.parse(document.getElementById("about").textContent);
const spacing = [0, 1, 2].map((k) => Math.hypot(...[0, 1, 2].map((r) => about.affine[r][k])));
const size = about.shape_zyx;
const middle = size.map((n) => (n - 1) / 2);
const state = { point: [...middle], centre: [...middle], zoom: 1, window: "lung", opacity: 0.4, chosen: null };
const layers = {};

// ---- data ----------------------------------------------------------------------------------------------------

async function unpack(id) {
  const binary = atob(document.getElementById(id).textContent.trim());
  const packed = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) packed[i] = binary.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function load(layer) {
  const data = await unpack(layer.id);
  const [nz, ny, nx] = layer.shape_zyx;
  if (layer.differences)
    for (let row = 0; row < nz * ny; row++)
      for (let i = row * nx + 1; i < (row + 1) * nx; i++) data[i] = (data[i] + data[i - 1]) & 255;
  return { ...layer, data, scratch: document.createElement("canvas") };
}

function mm(point) {
  return [0, 1, 2].map((r) => about.affine[r][3] + point.reduce((sum, p, k) => sum + about.affine[r][k] * p, 0));
}

function cell(layer, point) {
  const index = point.map((p, k) => Math.floor((p - layer.first_zyx[k]) / layer.step_zyx[k]));
  return index.every((i, k) => i >= 0 && i < layer.shape_zyx[k]) ? index : null;
}

function value(layer, point) {
  const index = layer && cell(layer, point);
  return index ? layer.data[(index[0] * layer.shape_zyx[1] + index[1]) * layer.shape_zyx[2] + index[2]] : null;
}

function hu(point) {
  const sharp = layers.crops.map((crop) => value(crop, point)).find((v) => v !== null);
  const level = sharp ?? value(layers.ct, point);
  return level === null ? null : about.levels_hu[level];
}

// ---- painting ------------------------------------------------------------------------------------------------

function shades() {
  const [level, width] = WINDOWS[state.window];
  const table = new Uint32Array(256);
  about.levels_hu.forEach((h, i) => {
    const grey = Math.round(255 * Math.min(Math.max((h - level) / width + 0.5, 0), 1));
    table[i] = (255 << 24) | (grey << 16) | (grey << 8) | grey;
  });
  return table;
}

function heat() {
  const table = new Uint32Array(256);
  for (let i = FAINT; i < 256; i++) {
    const t = i / 255;
    const alpha = Math.round(255 * state.opacity * (0.35 + 0.65 * t));
    table[i] = ((alpha << 24) | (Math.round(40 * t) << 16) | (Math.round(70 + 150 * t) << 8) | 255) >>> 0;
  }
  return table;
}

// One slice of a layer onto a canvas whose pixels are `scale` a mm, with `centre` in its middle.
function paintLayer(context, plane, layer, point, centre, scale, colours) {
  const index = Math.floor((point[plane.across] - layer.first_zyx[plane.across]) / layer.step_zyx[plane.across]);
  if (index < 0 || index >= layer.shape_zyx[plane.across]) return;
  const { right, down, across, headUp } = plane;
  const [width, height] = [layer.shape_zyx[right], layer.shape_zyx[down]];
  const strides = [layer.shape_zyx[1] * layer.shape_zyx[2], layer.shape_zyx[2], 1];
  const scratch = layer.scratch;
  [scratch.width, scratch.height] = [width, height];
  const inner = scratch.getContext("2d");
  const image = inner.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const away = layer.centre && fading(layer, plane, index);
  for (let row = 0; row < height; row++) {
    const v = headUp ? height - 1 - row : row;
    let i = index * strides[across] + v * strides[down];
    for (let column = 0; column < width; column++, i += strides[right]) {
      const colour = colours[layer.data[i]];
      pixels[row * width + column] = away ? (colour & 0xffffff) | (away(v, column) << 24) : colour;
    }
  }
  inner.putImageData(image, 0, 0);
  const place = place_on(context.canvas, plane, centre, scale);
  const [low, high] = [0, layer.shape_zyx[down]].map((n) => layer.first_zyx[down] + n * layer.step_zyx[down]);
  const x0 = place.x(layer.first_zyx[right]);
  const x1 = place.x(layer.first_zyx[right] + width * layer.step_zyx[right]);
  const y0 = place.y(headUp ? high : low);
  const y1 = place.y(headUp ? low : high);
  context.drawImage(scratch, x0, y0, x1 - x0, y1 - y0);
}

// How opaque the voxels of one slice of a sharp crop are: it fades into the coarser scan, or its edges would look like
// something in the patient.
function fading(layer, plane, index) {
  const { right, down, across } = plane;
  const from = (axis, voxel) =>
    (layer.first_zyx[axis] + (voxel + 0.5) * layer.step_zyx[axis] - layer.centre[axis]) * spacing[axis];
  const depth = from(across, index);
  return (row, column) => {
    const distance = Math.hypot(depth, from(down, row), from(right, column));
    const t = Math.min(Math.max((layer.radius_mm - distance) / about.fade_mm, 0), 1);
    return Math.round(255 * t * t * (3 - 2 * t));
  };
}

function place_on(canvas, plane, centre, scale) {
  const up = plane.headUp ? -1 : 1;
  const [sx, sy] = [scale * spacing[plane.right], scale * spacing[plane.down] * up];
  return {
    x: (index) => canvas.width / 2 + (index - centre[plane.right]) * sx,
    y: (index) => canvas.height / 2 + (index - centre[plane.down]) * sy,
    right: (x) => centre[plane.right] + (x - canvas.width / 2) / sx,
    down: (y) => centre[plane.down] + (y - canvas.height / 2) / sy,
  };
}

function paint(canvas, plane, point, centre, scale) {
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const grey = shades();
  for (const layer of [layers.ct, ...layers.crops]) paintLayer(context, plane, layer, point, centre, scale, grey);
  if (layers.probability && state.opacity > 0)
    paintLayer(context, plane, layers.probability, point, centre, scale, heat());
  return context;
}

function paintView(view) {
  const { canvas, plane } = view;
  const ratio = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.max(1, Math.round(n * ratio)));
  view.scale = state.zoom * fit(canvas, plane);
  const context = paint(canvas, plane, state.point, state.centre, view.scale);
  const place = place_on(canvas, plane, state.centre, view.scale);
  const [x, y] = [place.x(state.point[plane.right]), place.y(state.point[plane.down])];
  context.lineWidth = ratio;
  const gap = 9 * ratio; // the crosshair leaves open what it points at
  context.strokeStyle = "rgba(80, 200, 255, 0.85)";
  context.beginPath();
  for (const [from, to] of [[0, y - gap], [y + gap, canvas.height]]) line(context, x, from, x, to);
  for (const [from, to] of [[0, x - gap], [x + gap, canvas.width]]) line(context, from, y, to, y);
  context.stroke();
  about.candidates.forEach((candidate) => {
    const away = Math.abs(candidate.point[plane.across] - state.point[plane.across]) * spacing[plane.across];
    if (away > candidate.diameter_mm / 2 + 1) return;
    const [cx, cy] = [place.x(candidate.point[plane.right]), place.y(candidate.point[plane.down])];
    const radius = Math.max((candidate.diameter_mm / 2 + 3) * view.scale, 7 * ratio);
    context.strokeStyle = context.fillStyle = candidate.rank === state.chosen ? "#ffd23f" : "#7ee081";
    context.setLineDash(candidate.finding ? [] : [3 * ratio, 4 * ratio]);
    context.beginPath();
    context.arc(cx, cy, radius, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
    context.font = `${12 * ratio}px system-ui, sans-serif`;
    readable(context, candidate.rank, cx + radius * 0.75, cy - radius * 0.75, ratio);
  });
  if (plane.across === 0) paintAxes(context, place, axesShown(state.point), ratio);
  letters(context, plane, ratio);
  view.slider.value = Math.round(state.point[plane.across]);
  const axis = 2 - plane.across; // array axis z, y, x is world axis 2, 1, 0
  const where = `${"xyz"[axis]} ${mm(state.point)[axis].toFixed(1)} mm`;
  view.slider.setAttribute("aria-valuetext", plane.across === 0 ? `${where}, ${sliceWords()}` : where);
}

// The axes of the candidates whose axial slice of measurement is shown; the words for them.
function axesShown(point) {
  return about.candidates.filter((c) => c.axes && Math.abs(c.axes.slice - point[0]) <= about.half_slice);
}

function paintAxes(context, place, candidates, ratio) {
  for (const { axes } of candidates) {
    for (const [a, b] of [axes.long, axes.short]) {
      context.beginPath();
      line(context, place.x(a[2]), place.y(a[1]), place.x(b[2]), place.y(b[1]));
      for (const [width, colour] of [[3.5, "rgba(0, 0, 0, 0.6)"], [1.5, "#ff5cc8"]]) {
        [context.lineWidth, context.strokeStyle] = [width * ratio, colour];
        context.stroke();
      }
    }
  }
  context.lineWidth = ratio;
}

// The slice of the source that is shown: the scanner's number, by which a PACS finds it, and the count from below.
function sliceWords() {
  const number = mm(state.point).reduce((sum, v, k) => sum + about.slice_of_mm[k] * v, about.slice_of_mm[3]);
  const slice = Math.min(Math.max(Math.round(number), 1), about.source_slices);
  const counted = `slice ${slice} of ${about.source_slices} from below`;
  return about.instance_numbers ? `image ${about.instance_numbers[slice - 1]}, ${counted}` : counted;
}

function line(context, x0, y0, x1, y1) {
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
}

function letters(context, plane, ratio) {
  const { width, height } = context.canvas;
  context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
  context.fillStyle = "#ffd23f";
  context.textAlign = "center";
  context.textBaseline = "middle";
  const edge = 11 * ratio;
  const places = [[edge, height / 2], [width - edge, height / 2], [width / 2, edge], [width / 2, height - edge]];
  plane.letters.forEach((letter, i) => readable(context, letter, ...places[i], ratio));
  context.textAlign = "start";
  context.textBaseline = "alphabetic";
}

// Text that can be read on air and on bone.
function readable(context, text, x, y, ratio) {
  context.save();
  context.lineWidth = 3 * ratio;
  context.lineJoin = "round";
  context.strokeStyle = "rgba(0, 0, 0, 0.75)";
  context.strokeText(text, x, y);
  context.restore();
  context.fillText(text, x, y);
}

function fit(canvas, plane) {
  return Math.min(
    canvas.width / (size[plane.right] * spacing[plane.right]),
    canvas.height / (size[plane.down] * spacing[plane.down]),
  );
}

// ---- what the reader does --------------------------------------------------------------------------------------

const views = PLANES.map((plane) => {
  const box = document.getElementById(plane.name);
  return { plane, canvas: box.querySelector("canvas"), slider: box.querySelector("input") };
});

let waiting = false;
function render() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    views.forEach(paintView);
    tell();
  });
}

function tell() {
  const [x, y, z] = mm(state.point).map((v) => v.toFixed(1));
  const density = hu(state.point);
  const chance = value(layers.probability, state.point);
  const words = [`x ${x}, y ${y}, z ${z} mm`, sliceWords()];
  if (density !== null) words.push(`${density} HU`);
  if (layers.probability) words.push(`nodule probability ${((chance ?? 0) / 255).toFixed(2)}`);
  for (const { rank, axes } of axesShown(state.point)) words.push(`axes of ${rank}: ${axes.words}`);
  document.getElementById("where").textContent = words.join(" · ");
}

function goTo(point) {
  state.point = point.map((p, k) => Math.min(Math.max(p, 0), size[k] - 1));
  render();
}

function choose(rank, { scroll = true } = {}) {
  const candidate = about.candidates.find((c) => c.rank === rank);
  if (!candidate) return;
  state.chosen = rank;
  if (state.zoom > 1) state.centre = [...candidate.point];
  goTo(candidate.point);
  for (const row of document.querySelectorAll("tr[data-rank]"))
    row.classList.toggle("chosen", Number(row.dataset.rank) === rank);
  const viewer = document.getElementById("viewer");
  const { top, bottom } = viewer.getBoundingClientRect();
  if (scroll && (top < 0 || bottom > window.innerHeight)) viewer.scrollIntoView({ block: "start" });
}

function next(step) {
  const ranks = about.candidates.map((c) => c.rank);
  if (!ranks.length) return;
  const now = ranks.indexOf(state.chosen);
  choose(ranks[now < 0 ? (step > 0 ? 0 : ranks.length - 1) : (now + step + ranks.length) % ranks.length]);
}

function toAxes() {
  const candidate = about.candidates.find((c) => c.rank === state.chosen && c.axes);
  if (candidate) goTo([candidate.axes.slice, candidate.point[1], candidate.point[2]]);
}

function zoom(factor) {
  state.zoom = Math.min(Math.max(state.zoom * factor, 1), 12);
  state.centre = state.zoom === 1 ? [...middle] : [...state.point];
  render();
}

function setWindow(name) {
  state.window = name;
  for (const button of document.querySelectorAll("[data-window]"))
    button.setAttribute("aria-pressed", String(button.dataset.window === name));
  render();
  pictures();
}

function setOpacity(opacity) {
  state.opacity = opacity;
  document.getElementById("opacity").value = Math.round(100 * opacity);
  render();
}

function step(axis, by) {
  const point = [...state.point];
  point[axis] += by;
  goTo(point);
}

// Thumbnails in the table and pictures for print: the CT without the overlay; in print with the axes.
function pictures() {
  const { opacity } = state;
  state.opacity = 0;
  for (const canvas of document.querySelectorAll("canvas[data-rank]")) {
    const candidate = about.candidates.find((c) => c.rank === Number(canvas.dataset.rank));
    const plane = PLANES.find((p) => p.name === canvas.dataset.plane);
    const extent = canvas.classList.contains("thumb") ? THUMB_MM : PICTURE_MM;
    const drawn = extent === PICTURE_MM && plane.across === 0 && candidate.axes;
    const point = drawn ? [candidate.axes.slice, candidate.point[1], candidate.point[2]] : candidate.point;
    const scale = canvas.width / Math.max(extent, 2 * candidate.diameter_mm);
    const context = paint(canvas, plane, point, point, scale);
    if (drawn) paintAxes(context, place_on(canvas, plane, point, scale), [candidate], canvas.width / 260);
    if (extent === PICTURE_MM) letters(context, plane, canvas.width / 260);
  }
  state.opacity = opacity;
}

const KEYS = {
  ArrowUp: () => step(0, 1), ArrowDown: () => step(0, -1), PageUp: () => step(0, 10), PageDown: () => step(0, -10),
  ArrowLeft: () => step(2, -1), ArrowRight: () => step(2, 1), a: () => step(1, -1), p: () => step(1, 1),
  n: () => next(1), b: () => next(-1), m: toAxes, "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
  0: () => zoom(0), o: () => setOpacity(state.opacity ? 0 : 0.4),
  1: () => setWindow("lung"), 2: () => setWindow("soft tissue"), 3: () => setWindow("bone"),
};

function listen() {
  for (const view of views) {
    const { canvas, plane, slider } = view;
    slider.max = size[plane.across] - 1;
    slider.addEventListener("input", () => step(plane.across, Number(slider.value) - state.point[plane.across]));
    const follow = (event) => {
      const box = canvas.getBoundingClientRect();
      const ratio = canvas.width / box.width;
      const place = place_on(canvas, plane, state.centre, view.scale);
      const point = [...state.point];
      point[plane.right] = place.right((event.clientX - box.left) * ratio);
      point[plane.down] = place.down((event.clientY - box.top) * ratio);
      goTo(point);
    };
    canvas.addEventListener("click", follow);
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons === 1 && event.pointerType === "mouse") follow(event);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey) zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2);
      else step(plane.across, -Math.sign(event.deltaY));
    }, { passive: false });
  }
  document.getElementById("viewer").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  for (const button of document.querySelectorAll("[data-window]"))
    button.addEventListener("click", () => setWindow(button.dataset.window));
  for (const button of document.querySelectorAll("[data-key]"))
    button.addEventListener("click", () => KEYS[button.dataset.key]());
  document.getElementById("opacity").addEventListener("input", (event) => setOpacity(event.target.value / 100));
  for (const row of document.querySelectorAll("tr[data-rank]"))
    row.addEventListener("click", () => choose(Number(row.dataset.rank)));
  new ResizeObserver(render).observe(document.getElementById("viewer"));
}

async function start() {
  layers.ct = await load(about.layers.ct);
  layers.crops = await Promise.all(about.layers.crops.map(load));
  layers.probability = about.layers.probability && (await load(about.layers.probability));
  listen();
  setWindow("lung");
  const first = about.candidates.find((c) => c.decided) ?? about.candidates[0];
  if (first) choose(first.rank, { scroll: false });
  requestAnimationFrame(() => requestAnimationFrame(() => (document.body.dataset.ready = "yes")));
}

window.viewer = { mm: () => mm(state.point), state, hu: () => hu(state.point) };
start().catch((error) => {
  document.getElementById("where").textContent =
    `The pictures cannot be shown by this browser (${error.name}). Browsers from 2023 on can. The table below is whole.`;
  console.error(error);
});
