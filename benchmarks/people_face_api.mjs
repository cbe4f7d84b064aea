// Expressions of @vladmandic/face-api for crops: what benchmarks/people.py calls.
//
//     node people_face_api.mjs FOLDER CROPS COUNT SIDE
//
// FOLDER has node_modules with @vladmandic/face-api, @tensorflow/tfjs and @tensorflow/tfjs-backend-wasm.
// CROPS is a file of uint8 RGB pixels, COUNT x SIDE x SIDE x 3. Prints a JSON object of labels and probabilities.

import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const [folder, file, countText, sideText] = process.argv.slice(2);
const [count, side] = [Number(countText), Number(sideText)];
const require = createRequire(path.join(path.resolve(folder), "package.json"));
const tf = require("@tensorflow/tfjs");
const wasm = require("@tensorflow/tfjs-backend-wasm");
const faceapi = require("@vladmandic/face-api/dist/face-api.node-wasm.js");

const within = (name) => path.join(path.resolve(folder), "node_modules", name);
wasm.setWasmPaths(within("@tensorflow/tfjs-backend-wasm/dist/"));
await tf.setBackend("wasm");
await tf.ready();
await faceapi.nets.faceExpressionNet.loadFromDisk(within("@vladmandic/face-api/model"));

const labels = ["neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"];
const pixels = fs.readFileSync(file);
const rows = [];
for (let index = 0; index < count; index++) {
  const crop = new Uint8Array(pixels.buffer, pixels.byteOffset + index * side * side * 3, side * side * 3);
  const tensor = tf.tensor3d(crop, [side, side, 3], "int32");
  const found = await faceapi.nets.faceExpressionNet.predictExpressions(tensor);
  rows.push(labels.map((label) => found[label]));
  tensor.dispose();
}
process.stdout.write(JSON.stringify({ labels, rows }));
