"use strict";
// Asks the server for the newest frame and figures, as often as it allows. A request at a time and
// no open connection: a browser gives an origin six of those, and there may be twenty tabs.

const byId = id => document.getElementById(id);
const viewer = Math.random().toString(36).slice(2, 12);
const RETRY_MS = 1000;
const NO_PICTURE = -2;
let run = "", points = [], stages = [], pictureIndex = -1, paused = false, mapped = false, state = null, clock = 0;
let shown = null;  // the answer that the page shows: not the newest while it is paused

async function ask() {
  const picture = paused ? NO_PICTURE : pictureIndex;
  const after = points.length ? points[points.length - 1][0] : -1;
  const query = new URLSearchParams({ viewer, run, after, picture });
  const answer = await fetch(`update?${query}`, { cache: "no-store" });
  if (answer.status === 404) {
    say("over", "this run has ended: open the address of the new one");
    return RETRY_MS;
  }
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const bytes = await answer.arrayBuffer();
  const length = new DataView(bytes).getUint32(0);
  state = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  if (state.run !== run) {
    run = state.run;
    points = [];
    pictureIndex = -1;
  }
  take(state);
  if (bytes.byteLength > 4 + length && !paused) {
    await drawPicture(new Blob([new Uint8Array(bytes, 4 + length)], { type: "image/jpeg" }));
    pictureIndex = state.picture;
  }
  say(state.answer ? (paused ? "paused" : "live") : "waiting",
    state.answer ? (paused ? "paused" : "live") : "waiting for the first frame");
  return state.wait_ms;
}

async function keepAsking() {
  let wait = RETRY_MS;
  // A tab that nobody sees costs nothing.
  if (!document.hidden) {
    try {
      wait = await ask();
    } catch (error) {
      say("lost", "connection lost, trying again");
    }
  }
  setTimeout(keepAsking, wait);
}

function say(name, text) {
  const line = byId("state");
  if (line.dataset.state !== name) {
    line.dataset.state = name;
    line.textContent = text;
  }
}

function take(update) {
  stages = update.stages;
  clock = update.now_s;
  points = points.concat(update.points).filter(point => point[1] > clock - update.history_s);
  byId("engine").textContent = update.engine;
  byId("camera").textContent = update.camera;
  document.title = `${update.engine} – edgekit live`;
  showFigures(update);
  if (update.answer && !paused) {
    shown = update.answer;
    showAnswer(shown);
    drawMap(shown.map);
  }
  drawCharts(update.history_s);
}

function showFigures(update) {
  const answer = update.answer, machine = update.machine;
  const doubt = answer && answer.origin === "read" ? "?" : "";
  set("fps", update.fps, value => value.toFixed(1));
  set("age", answer && answer.frame_age_ms, value => `${value.toFixed(1)} ms${doubt}`);
  set("total", answer && answer.capture_to_result_ms, value => `${value.toFixed(1)} ms${doubt}`);
  set("passed", answer && answer.passed_over, value => String(value));
  set("temperature", machine.temperature_c, value => `${value.toFixed(0)} °C`);
  set("power", machine.power_w, value => `${value.toFixed(1)} W`);
  const more = [machine.name, machine.power_mode, machine.throttled ? "THROTTLED" : "",
    machine.load == null ? "" : `load ${machine.load.toFixed(1)}`];
  byId("machine").textContent = more.filter(Boolean).join(", ");
}

function set(id, value, text) {
  byId(id).textContent = value == null ? "unknown" : text(value);
}

function showAnswer(answer) {
  const list = byId("answers");
  while (list.children.length > answer.top.length) list.lastChild.remove();
  while (list.children.length < answer.top.length) list.append(emptyBar());
  answer.top.forEach((guess, place) => {
    const [label, share, ground] = list.children[place].children;
    label.textContent = guess.label;
    share.textContent = `${(100 * (guess.confidence ?? 0)).toFixed(1)} %`;
    ground.firstChild.style.transform = `scaleX(${guess.confidence ?? 0})`;
  });
  list.classList.toggle("uncertain", answer.uncertain);
  const notes = [];
  if (answer.uncertain) notes.push("uncertain");
  if (answer.smoothed_over > 1) notes.push(`mean over ${answer.smoothed_over} frames`);
  byId("how").textContent = notes.join(", ");
  byId("frame").textContent =
    `frame ${answer.index}, ${answer.width}×${answer.height}, time stamped: ${answer.origin}`;
}

function emptyBar() {
  const item = document.createElement("li");
  for (const name of ["label", "share", "ground"]) {
    const part = document.createElement("span");
    part.className = name;
    item.append(part);
  }
  const fill = document.createElement("span");
  fill.className = "fill";
  item.lastChild.append(fill);
  return item;
}

async function drawPicture(blob) {
  const picture = await createImageBitmap(blob);
  const canvas = byId("picture");
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
}

// The map covers the part of the frame that the network sees, which is not the whole frame.
function drawMap(map) {
  const canvas = byId("map"), picture = byId("picture");
  byId("map-toggle").hidden = !map;
  canvas.hidden = !(map && mapped);
  if (canvas.hidden) return;
  canvas.width = picture.width;
  canvas.height = picture.height;
  const [left, top, right, bottom] = map.region;
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(mapPicture(map.rows), left * canvas.width, top * canvas.height,
    (right - left) * canvas.width, (bottom - top) * canvas.height);
}

// Clear where the map is 0, amber and up to 70 % opaque where it is highest.
function mapPicture(rows) {
  const small = document.createElement("canvas");
  small.width = rows[0].length;
  small.height = rows.length;
  const pen = small.getContext("2d");
  const pixels = pen.createImageData(small.width, small.height);
  rows.flat().forEach((level, cell) => pixels.data.set([255, 176, 0, 0.7 * level], 4 * cell));
  pen.putImageData(pixels, 0, 0);
  return small;
}

function toggleMap() {
  mapped = !mapped;
  byId("map-toggle").setAttribute("aria-pressed", String(mapped));
  if (shown) drawMap(shown.map);
}

function drawCharts(historyS) {
  drawChart(byId("age-chart"), historyS, points.map(point => [point[1], [point[2]]]), ["--bar"]);
  const colours = stages.map((_, place) => `--stage-${place}`);
  drawChart(byId("stages-chart"), historyS,
    points.map(point => [point[1], point.slice(4)]), colours);
  const legend = byId("legend");
  if (legend.children.length === stages.length) return;
  legend.replaceChildren(...stages.map(name => {
    const item = document.createElement("li");
    item.append(document.createElement("i"), name.replace("_", " "));
    return item;
  }));
}

// Rows are [seconds, [value, ...]]; values are drawn one on top of the other.
function drawChart(canvas, historyS, rows, colours) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const style = getComputedStyle(document.documentElement);
  const left = 44, bottom = height - 20, top = 8, right = width - 6;
  const highest = Math.max(...rows.map(([, values]) => values.reduce((a, b) => a + b, 0)), 0);
  const end = roundUp(highest);
  const x = at => left + (right - left) * (1 - (clock - at) / historyS);
  const y = value => bottom - (bottom - top) * value / end;
  drawAxes(pen, style, { left, right, bottom, end, historyS, y });
  if (rows.length < 2) return;
  let floor = rows.map(() => 0);
  colours.forEach((colour, place) => {
    const ceiling = rows.map(([, values], row) => floor[row] + (values[place] ?? 0));
    pen.beginPath();
    rows.forEach(([at], row) => pen.lineTo(x(at), y(ceiling[row])));
    for (let row = rows.length - 1; row >= 0; row--) pen.lineTo(x(rows[row][0]), y(floor[row]));
    pen.closePath();
    pen.fillStyle = style.getPropertyValue(colour);
    pen.fill();
    floor = ceiling;
  });
}

function drawAxes(pen, style, { left, right, bottom, end, historyS, y }) {
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = style.getPropertyValue("--soft");
  pen.strokeStyle = style.getPropertyValue("--rule");
  pen.lineWidth = 1;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const part of [0, 0.5, 1]) {
    pen.beginPath();
    pen.moveTo(left, y(end * part));
    pen.lineTo(right, y(end * part));
    pen.stroke();
    pen.fillText(String(+(end * part).toPrecision(3)), left - 6, y(end * part));
  }
  pen.textBaseline = "top";
  pen.fillText("now", right, bottom + 5);
  pen.textAlign = "left";
  pen.fillText(`${historyS} s ago`, left, bottom + 5);
}

function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 5, 7.5, 10].map(step => step * power).find(step => step >= value);
}

function pause() {
  paused = !paused;
  const button = byId("pause");
  button.setAttribute("aria-pressed", String(paused));
  button.textContent = paused ? "Go on" : "Pause";
}

// The picture goes from this page to the viewer's own disk; the server keeps none.
function snapshot() {
  const index = shown ? shown.index : 0;
  byId("picture").toBlob(blob => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `edgekit-frame-${index}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }, "image/png");
}

byId("pause").addEventListener("click", pause);
byId("snapshot").addEventListener("click", snapshot);
byId("map-toggle").addEventListener("click", toggleMap);
document.addEventListener("visibilitychange", () => drawCharts(state ? state.history_s : 30));
keepAsking();
