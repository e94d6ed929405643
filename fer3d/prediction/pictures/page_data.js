// The page's data: base64 blocks as arrays, and the spans of each face. All scripts are concatenated into one.

const find = id => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const facts = JSON.parse(find("facts").textContent);
const numEmotions = facts.emotions.length;
const ABSENT = 65535, WHOLE = 65534;

const blocks = name => [...document.querySelectorAll(`.data-${name}`)].map(element => {
  const text = atob(element.textContent), bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  element.remove();
  return bytes;
});
const joined = parts => {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((start, part) => (bytes.set(part, start), start + part.length), 0);
  return bytes.buffer;
};
const times = new Uint32Array(joined(blocks("times")));  // milliseconds
const boxes = new Uint16Array(joined(blocks("boxes")));  // frame (low, high), face, x1, y1, x2, y2
const said = new Uint16Array(joined(blocks("predictions")));  // frame (low, high), face, said, smoothed, raw
const BOX = 7, SAID = 4 + 2 * numEmotions, SMOOTHED = 4, RAW = 4 + numEmotions;
const numFrames = times.length;
const duration = numFrames ? times[numFrames - 1] / 1000 + facts.interval : 0;

// Index of the last value not above the wanted one; -1 if there is none.
const lastUpTo = (count, valueOf, wanted) => {
  let low = 0, high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (valueOf(middle) <= wanted) low = middle + 1; else high = middle;
  }
  return low - 1;
};
const frameOf = (data, start) => data[start] + 65536 * data[start + 1];
const second = frame => frame < numFrames ? times[frame] / 1000 : duration;
const frameAt = time => Math.max(0, lastUpTo(numFrames, k => times[k], time * 1000 + 0.5));

// firstBox[k] is the index of the first box of frame k. A face has spans of frames in which it is visible, and the
// indices of its predictions.
const firstBox = new Uint32Array(numFrames + 1), faces = new Map();
const faceOf = number => {
  if (!faces.has(number)) faces.set(number, {number, spans: [], starts: [], seen: 0});
  return faces.get(number);
};
for (let start = 0, frame = 0; start <= boxes.length; start += BOX) {
  const here = start < boxes.length ? frameOf(boxes, start) : numFrames;
  while (frame <= here) firstBox[frame++] = start;
  if (start === boxes.length) break;
  const face = faceOf(boxes[start + 2]), span = face.spans.at(-1);
  face.seen++;
  if (span && span[1] === here - 1) span[1] = here; else face.spans.push([here, here]);
}
for (let start = 0; start < said.length; start += SAID) faceOf(said[start + 2]).starts.push(start);

const spanAt = (face, frame) => {
  const span = face.spans[lastUpTo(face.spans.length, k => face.spans[k][0], frame)];
  return span && span[1] >= frame ? span : null;
};
// Index of a face's last prediction up to a frame; -1 for none.
const lastPrediction = (face, frame) => lastUpTo(face.starts.length, k => frameOf(said, face.starts[k]), frame);
// Index of the prediction valid at a frame; -1 if the face is not visible or has none yet.
const holding = (face, frame) => {
  const span = spanAt(face, frame), start = face.starts[lastPrediction(face, frame)];
  return span && start !== undefined && frameOf(said, start) >= span[0] ? start : -1;
};
const words = start => facts.said[said[start + 3]].find(text => text) || "";
const share = (start, kind, emotion) => said[start + kind + emotion] / WHOLE;
const hasShares = start => said[start + SMOOTHED] !== ABSENT;

const clock = time => {
  const hundredths = Math.round(time * 100), seconds = Math.floor(hundredths / 100);
  const two = number => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}.${two(hundredths % 100)}`;
};

// The faces visible longest have a row.
const MOST_ROWS = 40;
const byLength = [...faces.values()].sort((one, other) => other.seen - one.seen);
const rows = byLength.slice(0, MOST_ROWS).sort((one, other) => one.number - other.number);
const state = {time: 0, face: byLength[0] || null, from: 0, to: duration || 1};
