"use strict";
// One page: player, scores and segments in step. Times inside are presentation times; the player's zero is `origin`.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const LABELS = data.labels, COLOURS = data.colours, UNKNOWN = 255, GUTTER = () => (innerWidth < 760 ? 46 : 76);
const AWAY = 0.5, STRIP = 26, CURVES = data.lanes.length > 1 ? 104 : 190, FLAGS = 14, GAP = 10, AXIS = 24;
const video = $("video"), lanesBox = $("lanes"), plot = $("plot"), cursor = $("cursor"), map = $("map");
const hidden = new Set();
let lanes = [], view = [0, 1], whole = [0, 1], head = 0, bright = -1, hasVideo = false;

// ---- Unpacking: see packing.py for the codings.
async function unpack() {
  const bytes = Uint8Array.from(atob($("rows").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const arrays = {};
  let at = 0;
  for (const [name, coding, length] of data.arrays) {
    if (coding === "u8") { arrays[name] = raw.subarray(at, at + length); at += length; }
    else if (coding === "d8") {
      const out = arrays[name] = new Uint8Array(length);
      for (let i = 0, sum = 0; i < length; i++) out[i] = sum = (sum + raw[at + i]) & 255;
      at += length;
    } else if (coding === "d16") {
      const out = arrays[name] = new Int16Array(length);
      for (let i = 0, sum = 0; i < length; i++) out[i] = sum = (sum + raw[at + i] + 256 * raw[at + length + i]) & 65535;
      at += 2 * length;
    } else { arrays[name] = new Int32Array(raw.slice(at, at + 4 * length).buffer); at += 4 * length; }
  }
  lanes = data.lanes.map((lane, number) => unpackLane(lane, (name) => line(arrays, `${number}.${name}`, lane.rows)));
}
function line(arrays, name, rows) { // values of each row from the corners of a line
  const values = arrays[name], gaps = arrays[`${name}.gap`];
  if (!gaps) return values;
  const out = new Float32Array(rows);
  for (let k = 0, at = 0; k < gaps.length; at += gaps[k++]) {
    const before = values[Math.max(k - 1, 0)];
    for (let i = 0; i <= gaps[k]; i++) out[at + i] = before + (gaps[k] ? (values[k] - before) * i / gaps[k] : 0);
  }
  return out;
}
function unpackLane(lane, of) {
  const times = new Float64Array(lane.rows), steps = of("time");
  for (let i = 0, t = lane.start; i < lane.rows; i++) times[i] = steps ? (t += steps[i] / 1e6) : lane.start + i * lane.step;
  const from = of("from"), name = of("name"), mean = of("mean"), to = of("to");
  const segments = Array.from(from, (ms, i) => ({ from: ms / 1e3, to: to[i] / 1e3, label: name[i], mean: mean[i] / 250 }));
  const step = lane.rows > 1 ? medianStep(times) : 0.04;
  const frames = of("frame");
  const gaps = []; // a person who wasn't in the picture has no rows
  if (lane.person !== null) for (let i = 1; i < lane.rows; i++) if (times[i] - times[i - 1] > step + AWAY) gaps.push([times[i - 1] + step, times[i]]);
  return { ...lane, times, step, gaps, segments, ever: of("flags").reduce((all, flags) => all | flags, 0), label: of("label"), flags: of("flags"),
    scores: LABELS.map((_, c) => of(`score${c}`)), box: [0, 1, 2, 3].map((side) => of(`box${side}`)),
    number: (i) => (frames ? frames[i] : lane.frame + i * lane.frameStep),
    title: lane.person === null ? "" : `person ${lane.person}`, image: null };
}
function medianStep(times) {
  const some = Array.from({ length: Math.min(times.length - 1, 101) }, (_, k) => Math.floor(k * (times.length - 1) / Math.min(times.length - 1, 101)));
  return some.map((i) => times[i + 1] - times[i]).sort((a, b) => a - b)[some.length >> 1];
}
function rowAt(lane, t) { // the last row that has begun, -1 before the first
  let low = 0, high = lane.rows;
  while (low < high) { const mid = (low + high) >> 1; if (lane.times[mid] <= t + 1e-6) low = mid + 1; else high = mid; }
  return low - 1;
}
function score(lane, c, i) { return lane.scores[c][i] * data.scoreStep; }
function boxAt(lane, t) {
  const i = rowAt(lane, t);
  if (i < 0 || !(lane.flags[i] & 1)) return null;
  return lane.box[2][i] > 0 ? lane.box.map((side) => side[i] * data.boxStep) : null;
}

// ---- Time and places.
const clock = (t) => {
  const s = Math.max(t - data.origin, 0), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return `${h ? `${h}:${String(m).padStart(2, "0")}` : m}:${(s % 60).toFixed(2).padStart(5, "0")}`;
};
const width = () => lanesBox.clientWidth;
const xOf = (t) => GUTTER() + ((t - view[0]) / (view[1] - view[0])) * (width() - GUTTER() - 8);
const tOf = (x) => view[0] + ((x - GUTTER()) / (width() - GUTTER() - 8)) * (view[1] - view[0]);
const clamp = (t, [a, b]) => Math.min(Math.max(t, a), b);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function canvasOf(canvas, w, h) {
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio); canvas.style.height = `${h}px`;
  }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0); ctx.clearRect(0, 0, w, h);
  return ctx;
}

// ---- The timeline.
const laneHeight = STRIP + CURVES + FLAGS + GAP, totalHeight = () => lanes.length * laneHeight + AXIS;
function draw() {
  const ctx = canvasOf(plot, width(), totalHeight());
  ctx.font = "12px system-ui, sans-serif";
  lanes.forEach((lane, n) => drawLane(ctx, lane, n * laneHeight + 6));
  drawAxis(ctx, lanes.length * laneHeight);
  drawMap(); drawCursor();
}
function drawLane(ctx, lane, top) {
  const right = width() - 8, left = GUTTER();
  drawWho(ctx, lane, top);
  ctx.save(); ctx.beginPath(); ctx.rect(left, top, right - left, laneHeight); ctx.clip();
  for (const s of lane.segments) {
    if (s.to < view[0] || s.from > view[1]) continue;
    const x = xOf(s.from), w = Math.max(xOf(s.to) - x, 0.7);
    ctx.globalAlpha = hidden.has(s.label) ? 0.2 : 1;
    ctx.fillStyle = COLOURS[s.label]; ctx.fillRect(x, top, w, STRIP - 6);
    const inside = Math.max(x, left);
    if (w > 3) { ctx.fillStyle = css("--page"); ctx.fillRect(x + w - 0.5, top, 1, STRIP - 6); }
    if (x + w - inside > ctx.measureText(LABELS[s.label]).width + 10) {
      ctx.fillStyle = ink(COLOURS[s.label]); ctx.fillText(LABELS[s.label], inside + 5, top + 14);
    }
    ctx.globalAlpha = 1;
  }
  const base = top + STRIP + CURVES - 4, y = (p) => base - p * (CURVES - 10);
  ctx.strokeStyle = css("--rule"); ctx.lineWidth = 1;
  for (const p of [0, 0.5, 1]) { ctx.beginPath(); ctx.moveTo(left, y(p) + 0.5); ctx.lineTo(right, y(p) + 0.5); ctx.stroke(); }
  const points = pointsOf(lane, left, right);
  LABELS.forEach((_, c) => hidden.has(c) || drawCurve(ctx, points, c, y));
  drawAbsent(ctx, lane, points, y, base);
  for (const [a, b] of lane.gaps) {
    if (b < view[0] || a > view[1]) continue;
    const [x, w] = [xOf(a), xOf(b) - xOf(a)];
    ctx.fillStyle = css("--card"); ctx.fillRect(x, top, w, laneHeight - GAP - 4);
    if (w > 110) { ctx.fillStyle = css("--soft"); ctx.fillText("not in the picture", Math.max(x, left) + 8, (y(0) + y(1)) / 2); }
  }
  ctx.restore();
}
function pointsOf(lane, left, right) { // a point a row where there is room, else the mean of each pixel column
  const first = Math.max(rowAt(lane, view[0]) - 1, 0), last = Math.min(rowAt(lane, view[1]) + 2, lane.rows);
  const key = `${view}|${right}|${left}`;
  if (lane.key === key) return lane.points;
  const columns = right - left, exact = last - first <= 1.5 * columns, x = [], from = [], to = [];
  if (exact) for (let i = first; i < last; i++) { x.push(xOf(lane.times[i])); from.push(i); to.push(i + 1); }
  else for (let i = first, col = 0; col < columns && i < last; col++) {
    const end = tOf(left + col + 1);
    let j = i;
    while (j < last && lane.times[j] < end) j++;
    if (j > i) { x.push(left + col + 0.5); from.push(i); to.push(j); i = j; }
  }
  const mean = lane.scores.map((scores) => from.map((a, k) => {
    let sum = 0;
    for (let i = a; i < to[k]; i++) sum += scores[i];
    return (sum / (to[k] - a)) * data.scoreStep;
  }));
  const flag = (bit) => from.map((a, k) => {
    let sum = 0;
    for (let i = a; i < to[k]; i++) sum += (lane.flags[i] & bit) > 0;
    return 2 * sum >= to[k] - a;
  });
  lane.key = key;
  return lane.points = { x, mean, face: flag(1), sound: flag(2), exact, end: Math.min(xOf(lane.times[last - 1] + lane.step), right) };
}
function drawCurve(ctx, points, c, y) {
  const { x, mean } = points, dim = bright >= 0 && bright !== c;
  const path = new Path2D();
  x.forEach((px, k) => (k ? path.lineTo(px, y(mean[c][k])) : path.moveTo(px, y(mean[c][k]))));
  ctx.lineJoin = "round"; ctx.globalAlpha = dim ? 0.18 : 1;
  ctx.strokeStyle = css("--edge"); ctx.lineWidth = 2.6; ctx.stroke(path);
  ctx.strokeStyle = COLOURS[c]; ctx.lineWidth = bright === c ? 3 : 1.7; ctx.stroke(path);
  if (points.exact && x.length > 1 && x[1] - x[0] > 9) {
    ctx.fillStyle = COLOURS[c];
    x.forEach((px, k) => { ctx.beginPath(); ctx.arc(px, y(mean[c][k]), 2.6, 0, 7); ctx.fill(); });
  }
  ctx.globalAlpha = 1;
}
function drawAbsent(ctx, lane, points, y, base) { // pale where face or sound is missing, hidden where both are
  ["face", "sound"].forEach((what, n) => {
    const top = base + 5 + 5 * n;
    runs(points, (k) => points[what][k], (a, b, there) => {
      ctx.fillStyle = css(there ? "--soft" : "--rule"); ctx.fillRect(a, top, b - a, 3);
    });
  });
  const most = lane.ever === 3 ? 2 : 1; // a track that is missing throughout makes nothing pale
  runs(points, (k) => points.face[k] + points.sound[k], (a, b, there) => {
    if (there >= most) return;
    ctx.globalAlpha = there ? 0.6 : 1; ctx.fillStyle = css(there ? "--veil" : "--page");
    ctx.fillRect(a, y(1) - 3, b - a, y(0) - y(1) + 5); ctx.globalAlpha = 1;
    if (!there && b - a > 130) { ctx.fillStyle = css("--soft"); ctx.fillText("no face, no sound", a + 8, (y(0) + y(1)) / 2); }
  });
}
function runs({ x, end }, of, paint) {
  for (let k = 0; k < x.length; ) {
    let j = k + 1;
    while (j < x.length && of(j) === of(k)) j++;
    paint(x[k], j < x.length ? x[j] : end, of(k)); k = j;
  }
}
function drawWho(ctx, lane, top) {
  const size = Math.min(GUTTER() - 18, 54);
  if (lane.image && lane.image.complete) {
    ctx.save(); ctx.beginPath(); ctx.roundRect(8, top, size, size, 8); ctx.clip();
    ctx.drawImage(lane.image, 8, top, size, size); ctx.restore();
  }
  ctx.fillStyle = css("--soft");
  const x = 8, y = top + (lane.image ? size + 16 : 14);
  ctx.fillText(lane.title, x, y, GUTTER() - 10);
  const base = top + STRIP + CURVES - 4;
  ctx.textAlign = "right";
  if (CURVES > 150) for (const p of [0.5, 1]) if (base - p * (CURVES - 10) > y + 4) ctx.fillText(p, GUTTER() - 6, base - p * (CURVES - 10) + 4);
  ctx.font = "10px system-ui, sans-serif";
  ctx.fillText("face", GUTTER() - 6, base + 9); ctx.fillText("sound", GUTTER() - 6, base + 18);
  ctx.font = "12px system-ui, sans-serif"; ctx.textAlign = "left";
}
function ticks() {
  const room = Math.max(Math.floor((width() - GUTTER()) / 90), 2), length = view[1] - view[0];
  return [0.04, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600].find((s) => length / s <= room) || 86400;
}
function drawAxis(ctx, top) {
  const step = ticks();
  ctx.fillStyle = css("--soft"); ctx.textAlign = "center";
  for (let k = Math.ceil((view[0] - data.origin) / step - 1e-9); k * step + data.origin <= view[1]; k++) {
    const x = xOf(k * step + data.origin);
    ctx.fillRect(x, top, 1, 5);
    const text = step < 1 ? clock(k * step + data.origin) : clock(k * step + data.origin).split(".")[0];
    const half = ctx.measureText(text).width / 2;
    if (x - half > 2 && x + half < width()) ctx.fillText(text, x, top + 18);
  }
  ctx.textAlign = "left";
}
function drawMap() {
  const w = map.clientWidth, ctx = canvasOf(map, w, 34), x = (t) => ((t - whole[0]) / (whole[1] - whole[0])) * w;
  const each = 34 / lanes.length;
  lanes.forEach((lane, n) => lane.segments.forEach((s) => {
    ctx.fillStyle = COLOURS[s.label]; ctx.fillRect(x(s.from), n * each, Math.max(x(s.to) - x(s.from), 0.5), each - (lanes.length > 1));
  }));
  const [a, b] = [x(view[0]), x(view[1])];
  ctx.fillStyle = css("--veil"); ctx.fillRect(0, 0, a, 34); ctx.fillRect(b, 0, w - b, 34);
  ctx.strokeStyle = css("--ink"); ctx.lineWidth = 1.5; ctx.strokeRect(a + 0.75, 0.75, Math.max(b - a - 1.5, 2), 32.5);
}
function ink(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000" : "#fff";
}

// ---- What moves with the playhead.
function drawCursor() {
  const ctx = canvasOf(cursor, width(), totalHeight()), x = xOf(head);
  if (x >= GUTTER() - 1 && x <= width() - 7) {
    ctx.fillStyle = css("--accent"); ctx.fillRect(x - 0.75, 0, 1.5, lanes.length * laneHeight);
    ctx.beginPath(); ctx.moveTo(x - 6, 0); ctx.lineTo(x + 6, 0); ctx.lineTo(x, 8); ctx.fill();
  }
  $("clock").textContent = `${clock(head)} / ${clock(whole[1])}`;
  lanesBox.setAttribute("aria-valuemax", (whole[1] - data.origin).toFixed(2));
  lanesBox.setAttribute("aria-valuenow", (head - data.origin).toFixed(2));
  lanesBox.setAttribute("aria-valuetext", `${clock(head)} ${lanes.map((lane) => named(lane, rowAt(lane, head))).join(", ")}`);
  drawNow(); drawOverlay();
}
const shown = (lane, i) => i >= 0 && head < lane.times[i] + Math.max(4 * lane.step, 0.5);
const named = (lane, i) => (shown(lane, i) && lane.label[i] !== UNKNOWN ? LABELS[lane.label[i]] : "–");
function buildNow() {
  $("now").innerHTML = lanes.map((lane, n) => `<p class="who"><b></b><span class="soft"></span></p>${
    lanes.length > 2 ? "" : LABELS.map((_, c) => `<div class="row" data-class="${c}" data-lane="${n}" title="Hide or show"><span></span><span class="track"><i></i></span><span></span></div>`).join("")}`).join("");
  for (const row of $("now").querySelectorAll(".row")) {
    const c = Number(row.dataset.class);
    row.firstChild.textContent = LABELS[c]; row.querySelector("i").style.background = COLOURS[c];
    row.onclick = () => { hidden.has(c) ? hidden.delete(c) : hidden.add(c); draw(); };
    row.onmouseenter = () => { bright = c; draw(); }; row.onmouseleave = () => { bright = -1; draw(); };
  }
}
function drawNow() {
  const who = $("now").querySelectorAll(".who");
  lanes.forEach((lane, n) => {
    const i = rowAt(lane, head), known = shown(lane, i) && lane.label[i] !== UNKNOWN;
    who[n].firstChild.textContent = named(lane, i);
    const lacks = !shown(lane, i) ? "no row here" : [lane.flags[i] & 1 ? "" : "no face", lane.flags[i] & 2 ? "" : "no sound"].filter(Boolean).join(", ");
    who[n].lastChild.textContent = [lane.title, lacks].filter(Boolean).join(" · ");
    for (const row of $("now").querySelectorAll(`.row[data-lane="${n}"]`)) {
      const c = Number(row.dataset.class), p = known ? score(lane, c, i) : 0;
      row.querySelector("i").style.width = `${100 * p}%`;
      row.lastChild.textContent = known ? p.toFixed(2) : "";
      row.classList.toggle("off", hidden.has(c));
    }
  });
}
function drawOverlay() {
  const w = $("screen").clientWidth, h = $("screen").clientHeight;
  if (!hasVideo || !video.videoWidth || !w) return;
  const ctx = canvasOf($("overlay"), w, h);
  $("overlay").style.height = "100%";
  const scale = Math.min(w / video.videoWidth, video.clientHeight / video.videoHeight);
  const left = (w - scale * video.videoWidth) / 2, top = (video.clientHeight - scale * video.videoHeight) / 2;
  const [sx, sy] = data.picture ? [video.videoWidth / data.picture[0], video.videoHeight / data.picture[1]] : [1, 1];
  ctx.font = "600 14px system-ui, sans-serif";
  for (const lane of lanes) {
    const i = rowAt(lane, head), box = shown(lane, i) ? boxAt(lane, head) : null;
    if (!box) continue;
    const c = lane.label[i], colour = c === UNKNOWN ? "#999999" : COLOURS[c];
    const [x, y, bw, bh] = [left + box[0] * sx * scale, top + box[1] * sy * scale, box[2] * sx * scale, box[3] * sy * scale];
    ctx.lineWidth = 5; ctx.strokeStyle = "#0008"; ctx.strokeRect(x, y, bw, bh);
    ctx.lineWidth = 2.5; ctx.strokeStyle = colour; ctx.strokeRect(x, y, bw, bh);
    const text = `${lane.title ? `${lane.person}: ` : ""}${named(lane, i)}${c === UNKNOWN ? "" : ` ${score(lane, c, i).toFixed(2)}`}`;
    const tw = ctx.measureText(text).width + 14, ty = Math.max(y - 24, 0), tx = clamp(x - 1.25, [0, Math.max(w - tw, 0)]);
    ctx.fillStyle = colour; ctx.beginPath(); ctx.roundRect(tx, ty, tw, 22, 5); ctx.fill();
    ctx.fillStyle = ink(colour); ctx.fillText(text, tx + 7, ty + 16);
  }
}

// ---- Moving.
function jump(t, follow = true) {
  head = clamp(t, whole);
  if (hasVideo) video.currentTime = Math.max(head - data.origin, 0) + 1e-3;
  if (follow) keepInView();
  drawCursor();
}
function keepInView() {
  const length = view[1] - view[0];
  if (head < view[0] || head > view[1]) setView(head - length * 0.1, head + length * 0.9);
}
function setView(from, to) {
  const least = Math.min(12 * Math.min(...lanes.map((lane) => lane.step)), whole[1] - whole[0]);
  const length = clamp(to - from, [least, whole[1] - whole[0]]);
  const start = clamp(from, [whole[0], whole[1] - length]);
  view = [start, start + length]; draw();
}
function zoom(factor, around = head) {
  if (around < view[0] || around > view[1]) around = (view[0] + view[1]) / 2;
  setView(around - (around - view[0]) * factor, around + (view[1] - around) * factor);
}
function nextSegment(way) {
  const edges = lanes.flatMap((lane) => lane.segments.map((s) => s.from)).sort((a, b) => a - b);
  const t = way > 0 ? edges.find((e) => e > head + 0.005) : edges.reverse().find((e) => e < head - 0.25);
  if (t !== undefined) jump(t);
}
function frame(way) { const lane = lanes[0]; jump(lane.times[clamp(rowAt(lane, head) + way, [0, lane.rows - 1])]); }
function play() { if (hasVideo) video.paused ? video.play().catch(() => {}) : video.pause(); }
function tick(_, meta) {
  head = clamp((meta ? meta.mediaTime : video.currentTime) + data.origin, whole);
  keepInView(); drawCursor();
  if (!video.paused) step();
}
const step = () => (video.requestVideoFrameCallback ? video.requestVideoFrameCallback(tick) : requestAnimationFrame(() => tick()));

// ---- Downloads.
const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
function save(name, lines) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = `${data.video}.${name}`; link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
function rowsCsv() {
  const digits = Math.max(Math.ceil(-Math.log10(data.scoreStep) - 1e-9), 2), persons = data.lanes[0].person !== null;
  const top = ["frame", "time_seconds", ...(persons ? ["person"] : []), "label", ...LABELS, "face", "sound", "box_left", "box_top", "box_width", "box_height"];
  const lines = lanes.flatMap((lane) => Array.from(lane.times, (t, i) => {
    const box = boxAt(lane, t), label = lane.label[i] === UNKNOWN ? "" : LABELS[lane.label[i]];
    return [lane.number(i), t.toFixed(6), ...(persons ? [lane.person] : []), cell(label), ...LABELS.map((_, c) => score(lane, c, i).toFixed(digits)),
      lane.flags[i] & 1, lane.flags[i] >> 1, ...(box ? box.map((v) => v.toFixed(1)) : ["", "", "", ""])].join(",");
  }));
  save("csv", [top.map(cell).join(","), ...lines]);
}
function segmentsCsv() {
  const lines = lanes.flatMap((lane) => lane.segments.map((s) =>
    [s.from.toFixed(3), s.to.toFixed(3), lane.person ?? "", cell(LABELS[s.label]), s.mean.toFixed(3)].join(",")));
  save("segments.csv", ["start_seconds,end_seconds,person,label,mean_score", ...lines]);
}

// ---- Input.
const KEYS = { " ": play, ArrowLeft: (e) => (e.shiftKey ? jump(head - 5) : frame(-1)), ArrowRight: (e) => (e.shiftKey ? jump(head + 5) : frame(1)),
  n: () => nextSegment(1), p: () => nextSegment(-1), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => setView(...whole),
  Home: () => jump(whole[0]), End: () => jump(whole[1]) };
function listen() {
  addEventListener("keydown", (e) => {
    const typed = e.target.tagName === "INPUT" || (e.target.tagName === "BUTTON" && e.key === " ");
    if (e.ctrlKey || e.metaKey || e.altKey || typed || !(e.key in KEYS)) return;
    e.preventDefault(); e.stopPropagation(); KEYS[e.key](e);
  }, true);
  for (const [id, act] of Object.entries({ play, in: () => zoom(0.5), out: () => zoom(2), fit: () => setView(...whole),
    before: () => nextSegment(-1), after: () => nextSegment(1), csv: rowsCsv, segments: segmentsCsv })) $(id).onclick = act;
  const at = (e) => tOf(e.clientX - lanesBox.getBoundingClientRect().left);
  lanesBox.onpointerdown = (e) => { if (e.button) return; lanesBox.setPointerCapture(e.pointerId); jump(at(e), false); };
  lanesBox.onpointermove = (e) => { if (e.buttons && lanesBox.hasPointerCapture(e.pointerId)) jump(at(e), false); tip(at(e), e); };
  lanesBox.onpointerleave = () => { $("tip").hidden = true; };
  lanesBox.addEventListener("wheel", (e) => {
    e.preventDefault();
    const by = e.shiftKey ? e.deltaY || e.deltaX : e.deltaX, length = view[1] - view[0];
    if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) setView(view[0] + (by / width()) * length, view[1] + (by / width()) * length);
    else zoom(Math.exp(clamp(e.deltaY, [-200, 200]) / 300), at(e));
  }, { passive: false });
  map.onpointerdown = map.onpointermove = (e) => {
    if (e.type === "pointerdown") map.setPointerCapture(e.pointerId); else if (!e.buttons) return;
    const place = map.getBoundingClientRect(), half = (view[1] - view[0]) / 2;
    const t = whole[0] + ((e.clientX - place.left) / place.width) * (whole[1] - whole[0]);
    setView(t - half, t + half);
  };
  new ResizeObserver(() => draw()).observe(lanesBox);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
function tip(t, e) {
  const lane = lanes[clamp(Math.floor((e.clientY - lanesBox.getBoundingClientRect().top) / laneHeight), [0, lanes.length - 1])];
  const i = rowAt(lane, t), box = $("tip");
  box.hidden = e.pointerType === "touch" || i < 0 || t < view[0] || t > view[1];
  if (box.hidden) return;
  const order = LABELS.map((_, c) => c).sort((a, b) => lane.scores[b][i] - lane.scores[a][i]).slice(0, 3);
  box.replaceChildren(`${clock(t)} · frame ${lane.number(i)}`, ...(lane.label[i] === UNKNOWN ? [document.createElement("br"), "no face, no sound"] : order.flatMap((c) => {
    const dot = document.createElement("i"); dot.style.background = COLOURS[c];
    return [document.createElement("br"), dot, `${LABELS[c]} ${score(lane, c, i).toFixed(2)}`];
  })));
  box.style.left = `${clamp(xOf(t) + 14, [0, width() - box.offsetWidth - 6])}px`;
}

// ---- The player.
function readyPlayer() {
  if (!video) { $("screen").classList.add("none"); $("stage").classList.add("alone"); $("play").hidden = true; return; }
  const lost = (why) => { hasVideo = false; $("missing").hidden = false; $("why").textContent = why; $("play").disabled = true; };
  video.addEventListener("loadedmetadata", () => {
    hasVideo = true; $("missing").hidden = true; $("play").disabled = false;
    $("screen").classList.toggle("sound", !video.videoWidth);
    jump(head, false);
  });
  video.addEventListener("loadeddata", drawOverlay);
  video.addEventListener("error", () => lost(video.error && video.error.code === 4 && $("embedded").textContent
    ? "This browser can't play the embedded video." : "The video is not where it was, or this browser can't play it. The curves work without it."));
  video.addEventListener("play", () => { $("play").innerHTML = "&#10074;&#10074;"; step(); });
  video.addEventListener("pause", () => { $("play").innerHTML = "&#9654;"; });
  video.addEventListener("seeked", () => { if (video.paused && !video.ended && video.currentTime < video.duration - 0.1 && Math.abs(video.currentTime + data.origin - head) > 0.05) { head = clamp(video.currentTime + data.origin, whole); drawCursor(); } });
  $("choose").onchange = (e) => { if (e.target.files[0]) { video.src = URL.createObjectURL(e.target.files[0]); video.load(); } };
  const inside = $("embedded").textContent;
  if (inside) video.src = URL.createObjectURL(new Blob([Uint8Array.from(atob(inside), (c) => c.charCodeAt(0))]));
  if (video.error) lost("The video is not where it was, or this browser can't play it. The curves work without it.");
  else if (video.readyState >= 1) video.dispatchEvent(new Event("loadedmetadata"));
}

async function begin() {
  if (!("DecompressionStream" in window)) { $("clock").textContent = "This page needs a browser of 2023 or later."; return; }
  await unpack();
  whole = [Math.min(...lanes.map((l) => l.times[0])), Math.max(...lanes.map((l) => l.times[l.rows - 1] + l.step))];
  view = [...whole]; head = whole[0];
  for (const lane of lanes) if (lane.face) { lane.image = new Image(); lane.image.onload = draw; lane.image.src = lane.face; }
  buildNow(); listen(); readyPlayer(); draw();
  document.documentElement.dataset.ready = "yes";
}
begin();
