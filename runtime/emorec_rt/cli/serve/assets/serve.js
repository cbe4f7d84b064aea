"use strict";
// The live page: a camera or a file goes to this server, rows come back and are drawn as they come.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent), { labels: LABELS, colours: COLOURS } = data;
const video = $("video"), LIVE_SECONDS = 30, FRAME_MS = 66, HEIGHT = 240, STRIP = 22;
let rows = [], live = false, running = null, start = 0;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function say(text, bad = false) { $("said").textContent = text; $("said").classList.toggle("bad", bad); }
function ink(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000" : "#fff";
}
function canvasOf(canvas, w, h) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio); canvas.style.height = `${h}px`;
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  return ctx;
}

// ---- What is drawn.
function current() {
  if (live || !rows.length) return rows[rows.length - 1];
  let low = 0, high = rows.length;
  while (low < high) { const mid = (low + high) >> 1; if (rows[mid].time_seconds <= video.currentTime + 1e-3) low = mid + 1; else high = mid; }
  return rows[Math.max(low - 1, 0)];
}
function build() {
  $("now").innerHTML = `<p class="who"><b>–</b><span class="soft"></span></p>` + LABELS.map((_, c) =>
    `<div class="row" data-class="${c}"><span></span><span class="track"><i></i></span><span></span></div>`).join("");
  for (const row of $("now").querySelectorAll(".row")) {
    row.firstChild.textContent = LABELS[row.dataset.class];
    row.querySelector("i").style.background = COLOURS[row.dataset.class];
  }
}
function draw() {
  const row = current();
  drawPlot(); drawBox(row);
  $("now").querySelector("b").textContent = row ? row.label ?? "–" : "–";
  $("now").querySelector(".soft").textContent = row ? [row.face ? "" : "no face", row.sound ? "" : "no sound"].filter(Boolean).join(", ") : "";
  for (const bar of $("now").querySelectorAll(".row")) {
    const p = row && row.label !== null ? row.probabilities[LABELS[bar.dataset.class]] : 0;
    bar.querySelector("i").style.width = `${100 * p}%`; bar.lastChild.textContent = row ? p.toFixed(2) : "";
  }
}
function drawPlot() {
  const w = $("plot").clientWidth, ctx = canvasOf($("plot"), w, HEIGHT);
  if (!rows.length) return;
  const last = rows[rows.length - 1].time_seconds, first = live ? last - LIVE_SECONDS : rows[0].time_seconds;
  const length = live ? LIVE_SECONDS : Math.max(last, video.duration || 0, first + 1) - first;
  const x = (t) => ((t - first) / length) * w, base = HEIGHT - 10, y = (p) => base - p * (base - STRIP - 14);
  const shown = rows.filter((row) => row.time_seconds >= first - 1), every = Math.max(Math.floor(shown.length / (2 * w)), 1);
  const some = shown.filter((_, i) => i % every === 0);
  some.forEach((row, i) => {
    const end = i + 1 < some.length ? some[i + 1].time_seconds : row.time_seconds + 0.04;
    ctx.fillStyle = row.label === null ? css("--rule") : COLOURS[LABELS.indexOf(row.label)];
    const from = Math.floor(x(row.time_seconds));
    ctx.fillRect(from, 6, Math.max(Math.ceil(x(end)) - from, 1), STRIP - 6);
  });
  ctx.strokeStyle = css("--rule");
  for (const p of [0, 0.5, 1]) { ctx.beginPath(); ctx.moveTo(0, y(p)); ctx.lineTo(w, y(p)); ctx.stroke(); }
  ctx.lineJoin = "round";
  LABELS.forEach((label, c) => {
    const path = new Path2D();
    some.forEach((row, i) => path[i ? "lineTo" : "moveTo"](x(row.time_seconds), y(row.label === null ? 0 : row.probabilities[label])));
    ctx.strokeStyle = css("--edge"); ctx.lineWidth = 2.6; ctx.stroke(path);
    ctx.strokeStyle = COLOURS[c]; ctx.lineWidth = 1.7; ctx.stroke(path);
  });
  if (!live) { ctx.fillStyle = css("--accent"); ctx.fillRect(x(video.currentTime) - 0.75, 0, 1.5, HEIGHT); }
}
function drawBox(row) {
  const w = $("screen").clientWidth, h = $("screen").clientHeight, ctx = canvasOf($("overlay"), w, h);
  const shown = $("still").hidden ? video : $("still");
  const [vw, vh] = running && running.size || [video.videoWidth, video.videoHeight];
  if (!row || !row.box || !vw) return;
  const scale = Math.min(w / vw, shown.clientHeight / vh), left = (w - scale * vw) / 2, top = (shown.clientHeight - scale * vh) / 2;
  const [x, y, bw, bh] = [left + row.box[0] * scale, top + row.box[1] * scale, row.box[2] * scale, row.box[3] * scale];
  const colour = row.label === null ? "#999999" : COLOURS[LABELS.indexOf(row.label)];
  ctx.lineWidth = 5; ctx.strokeStyle = "#0008"; ctx.strokeRect(x, y, bw, bh);
  ctx.lineWidth = 2.5; ctx.strokeStyle = colour; ctx.strokeRect(x, y, bw, bh);
  const text = row.label === null ? "–" : `${row.label} ${row.probabilities[row.label].toFixed(2)}`;
  ctx.font = "600 14px system-ui, sans-serif";
  ctx.fillStyle = colour; ctx.fillRect(x - 1.25, Math.max(y - 24, 0), ctx.measureText(text).width + 14, 22);
  ctx.fillStyle = ink(colour); ctx.fillText(text, x + 6, Math.max(y - 24, 0) + 16);
}
function loop() { draw(); if (running || !video.paused) requestAnimationFrame(loop); }

// ---- A run: what it holds on to, and how it ends.
function begin(isLive) {
  end(); rows = []; live = isLive;
  running = { stop: [] };
  $("still").hidden = true; video.hidden = false;
  $("drop").hidden = true; $("stop").disabled = false; $("save").disabled = true;
  build(); loop();
  return running;
}
function end(text) {
  if (running) for (const stop of running.stop.reverse()) stop();
  running = null;
  $("stop").disabled = true; $("save").disabled = !rows.length;
  if (text) say(text);
  draw();
}
const token = () => (data.token ? $("token").value : "");

// ---- A file: sent whole; rows come as lines while the player already shows it.
async function sendFile(file) {
  if (file.size > data.maxBytes) { say(`${file.name} has ${Math.round(file.size / 2 ** 20)} MiB; this server takes ${data.maxBytes >> 20}.`, true); return; }
  const run = begin(false), abort = new AbortController();
  const address = URL.createObjectURL(file);
  run.stop.push(() => abort.abort());
  video.srcObject = null; video.src = address; video.controls = true; video.muted = false;
  video.onplay = loop; video.onseeked = draw;
  say(`Sending ${file.name} ...`);
  try {
    const answer = await fetch(`/rows?name=${encodeURIComponent(file.name.slice(0, 200))}`, { method: "POST", body: file, signal: abort.signal,
      headers: { "Content-Type": "application/octet-stream", ...(data.token ? { Authorization: `Bearer ${token()}` } : {}) } });
    if (!answer.ok) throw new Error((await answer.json()).error);
    let rest = "";
    for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      lines.forEach(take);
    }
  } catch (error) { if (running === run) { end(); say(error.message, error.name !== "AbortError"); } return; }
  if (running === run) end();
}
function take(line) {
  const record = JSON.parse(line);
  if (record.error) { say(record.error, true); return; }
  if (record.done) { say([`${record.done.rows} rows.`, ...record.done.warnings].join(" ")); return; }
  rows.push(record);
  if (live) { if (rows.length > 6000) rows = rows.slice(-4000); }
  else say(`${rows.length} rows ...`);
}

// ---- The camera: pictures as JPEG and sound as 16-bit samples, each with its time.
async function useCamera() {
  const run = begin(true);
  say("Asking for the camera ...");
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } }, audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    run.stop.push(() => stream.getTracks().forEach((track) => track.stop()));
    if (running !== run) { stream.getTracks().forEach((track) => track.stop()); return; }
    video.removeAttribute("src"); video.controls = false; video.muted = true; video.srcObject = stream;
    await video.play();
    const socket = connect(run, "/live");
    socket.onmessage = (message) => take(message.data);
    socket.onopen = () => { start = performance.now(); say("The camera goes to this server and nowhere else."); pictures(run, socket); sound(run, socket, stream); };
  } catch (error) { if (running === run) end(); say(`The camera can't be used: ${error.message}`, true); }
}
function connect(run, path) {
  const query = data.token ? `?token=${encodeURIComponent(token())}` : "";
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}${query}`);
  socket.binaryType = "arraybuffer";
  run.stop.push(() => socket.close());
  socket.onclose = (event) => { if (running === run) { end(); say(event.reason || "The server has ended the connection.", event.code !== 1000); } };
  return socket;
}
function watchServer() {
  const run = begin(true), socket = connect(run, "/watch"), still = $("still"), ctx = still.getContext("2d");
  say("Waiting for the server's camera ...");
  video.pause(); video.hidden = true; still.hidden = false;
  socket.onmessage = async ({ data: content }) => {
    if (typeof content === "string") { take(content); return; }
    const view = new DataView(content);
    run.size = [view.getUint32(8, true), view.getUint32(12, true)];
    const picture = await createImageBitmap(new Blob([content.slice(16)], { type: "image/jpeg" }));
    still.width = picture.width; still.height = picture.height;
    ctx.drawImage(picture, 0, 0);
    if (running === run) say("The server's camera.");
  };
}
function message(kind, seconds, payload, extra = []) {
  const out = new Uint8Array(9 + 4 * extra.length + payload.byteLength), view = new DataView(out.buffer);
  out[0] = kind; view.setFloat64(1, seconds, true);
  extra.forEach((value, i) => view.setUint32(9 + 4 * i, value, true));
  out.set(new Uint8Array(payload), 9 + 4 * extra.length);
  return out;
}
function pictures(run, socket) {
  const canvas = document.createElement("canvas"), ctx = canvas.getContext("2d");
  let busy = false;
  const timer = setInterval(() => {
    if (busy || socket.readyState !== 1 || socket.bufferedAmount > 500000 || !video.videoWidth) return;
    const scale = Math.min(1, 640 / video.videoWidth);
    canvas.width = Math.round(video.videoWidth * scale); canvas.height = Math.round(video.videoHeight * scale);
    run.size = [canvas.width, canvas.height];
    ctx.drawImage(video, 0, 0, canvas.width, canvas.height);
    const seconds = (performance.now() - start) / 1000;
    busy = true;
    canvas.toBlob(async (blob) => { busy = false; if (blob && socket.readyState === 1) socket.send(message(1, seconds, await blob.arrayBuffer())); }, "image/jpeg", 0.85);
  }, FRAME_MS);
  run.stop.push(() => clearInterval(timer));
}
function sound(run, socket, stream) {
  if (!stream.getAudioTracks().length) return;
  const audio = new AudioContext(), source = audio.createMediaStreamSource(stream);
  const node = audio.createScriptProcessor(2048, 1, 1); // an AudioWorklet would need a file of its own
  let next = null; // sound is timed by its own samples; a callback comes when it likes
  node.onaudioprocess = (event) => {
    const floats = event.inputBuffer.getChannelData(0), samples = new Int16Array(floats.length);
    floats.forEach((value, i) => { samples[i] = Math.max(-1, Math.min(1, value)) * 32767; });
    const now = (performance.now() - start) / 1000 - floats.length / audio.sampleRate;
    if (socket.readyState !== 1 || now < 0 || socket.bufferedAmount > 1000000) return;
    if (next === null || now > next + 0.25) next = now;
    socket.send(message(2, next, samples.buffer, [audio.sampleRate]));
    next += floats.length / audio.sampleRate;
  };
  source.connect(node); node.connect(audio.destination);
  run.stop.push(() => { node.disconnect(); source.disconnect(); audio.close(); });
}

// ---- Input.
$("camera").onclick = useCamera;
$("watch").hidden = !data.camera; $("watch").onclick = watchServer;
$("stop").onclick = () => end("Stopped.");
$("choose").onchange = (event) => { if (event.target.files[0]) sendFile(event.target.files[0]); event.target.value = ""; };
$("save").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(rows.map((row) => `${JSON.stringify(row)}\n`)));
  link.download = "rows.jsonl"; link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
addEventListener("dragleave", () => document.body.classList.remove("over"));
addEventListener("drop", (event) => { event.preventDefault(); document.body.classList.remove("over"); if (event.dataTransfer.files[0]) sendFile(event.dataTransfer.files[0]); });
addEventListener("resize", draw);
$("token").hidden = !data.token;
if (data.notice) { $("notice").className = "notice"; $("notice").textContent = data.notice; }
build(); draw();
document.documentElement.dataset.ready = "yes";
