// The current time, shared by the video, the boxes, the numbers and the cursor; and the controls.

const video = find("video"), stage = find("stage"), bar = find("bar"), zoom = find("zoom");
const made = (name, className = "", text = "") => {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
};
const faceButton = face => {
  const button = made("button");
  button.type = "button";
  button.style.setProperty("--face", facts.faceColours[(face.number - 1) % facts.faceColours.length]);
  button.dataset.face = face.number;
  button.addEventListener("click", () => select(face));
  return button;
};

const names = rows.map(face => {
  const button = faceButton(face);
  button.textContent = face.number;
  button.setAttribute("aria-label", `Face ${face.number}`);
  return button;
});
find("names").style.paddingTop = `${TOP}px`;
find("names").append(...names);
if (faces.size > rows.length) {
  const number = faces.size - rows.length;
  find("more").textContent = `${number} more faces, visible for a shorter time, have no row; click them in the video.`;
}
const bars = (faces.size ? facts.emotions : []).map((emotion, number) => {
  const row = made("li"), track = made("span", "track"), digits = made("span", "number");
  const value = made("i"), raw = made("b");
  row.style.setProperty("--c", `var(--e${number})`);
  track.append(value, raw);
  row.append(made("span", "name", emotion), track, digits);
  find("bars").append(row);
  return {row, value, raw, digits};
});

const boxButtons = new Map();
const boxButton = face => {
  if (!boxButtons.has(face.number)) {
    const button = faceButton(face);
    button.append(made("span"));
    boxButtons.set(face.number, button);
  }
  return boxButtons.get(face.number);
};
const showBoxes = frame => {
  const here = new Set();
  for (let start = firstBox[frame]; start < firstBox[frame + 1]; start += BOX) {
    const face = faces.get(boxes[start + 2]), button = boxButton(face), prediction = holding(face, frame);
    const text = prediction < 0 ? "" : words(prediction);
    const [x1, y1, x2, y2] = [3, 4, 5, 6].map(k => boxes[start + k] / WHOLE);
    const place = {left: x1, top: y1, width: x2 - x1, height: y2 - y1};
    for (const [side, value] of Object.entries(place)) button.style[side] = `${100 * value}%`;
    button.className = `box${y1 < 0.08 ? " low" : ""}${x1 > 0.6 ? " right" : ""}`;
    button.setAttribute("aria-pressed", state.face === face);
    button.setAttribute("aria-label", `Face ${face.number}${text ? `: ${text}` : ""}`);
    // Tags of small faces would overlap.
    const isSmall = (x2 - x1) * stage.clientWidth < 64 && state.face !== face;
    button.firstChild.textContent = text && !isSmall ? `${face.number} ${text}` : face.number;
    if (!button.isConnected) find("boxes").append(button);
    here.add(face.number);
  }
  for (const [number, button] of boxButtons) if (!here.has(number)) button.remove();
};
const showNow = frame => {
  const face = state.face, prediction = face ? holding(face, frame) : -1;
  find("who").textContent = face ? `Face ${face.number}` : numFrames ? "No face was found" : "";
  const nothing = !face ? "" : spanAt(face, frame) ? "no prediction yet" : "not visible";
  find("said").textContent = prediction < 0 ? nothing : words(prediction);
  const isKnown = prediction >= 0 && hasShares(prediction);
  const shares = bars.map((_, number) => isKnown ? share(prediction, SMOOTHED, number) : 0);
  const best = isKnown ? shares.indexOf(Math.max(...shares)) : -1;
  bars.forEach(({row, value, raw, digits}, number) => {
    row.className = number === best ? "best" : "";
    value.style.width = `${100 * shares[number]}%`;
    raw.hidden = !isKnown;
    if (isKnown) raw.style.left = `${100 * share(prediction, RAW, number)}%`;
    digits.textContent = isKnown ? `${(100 * shares[number]).toFixed(1)} %` : "–";
  });
};

const show = time => {
  state.time = clamp(time, 0, duration);
  const frame = frameAt(state.time), whole = state.to - state.from;
  if (whole < duration && (state.time < state.from || state.time > state.to - 0.02 * whole)) {
    const from = clamp(state.time - 0.1 * whole, 0, duration - whole);
    if (from !== state.from) { [state.from, state.to] = [from, from + whole]; draw(); }
  }
  find("head").style.transform = `translateX(${X(state.time)}px)`;
  if (numFrames) showBoxes(frame);
  showNow(frame);
  names.forEach((button, number) => button.setAttribute("aria-pressed", rows[number] === state.face));
  find("clock").textContent = `${clock(state.time)} / ${clock(duration)}`;
  // During playback, do not announce every frame to screen readers.
  if (!video.paused && Math.abs(state.time - Number(bar.getAttribute("aria-valuenow"))) < 1) return;
  const whose = state.face ? `, face ${state.face.number}: ${find("said").textContent}` : "";
  bar.setAttribute("aria-valuenow", state.time.toFixed(2));
  bar.setAttribute("aria-valuetext", `${clock(state.time)}${whose}`);
};
const redraw = () => { draw(); show(state.time); };
const select = face => { state.face = face; redraw(); };

const parts = blocks("video"), hasVideo = parts.length > 0;
// Seek slightly past the start of a frame, which may be rounded down.
const landing = () => Math.min(state.time + 0.0005, duration);
let isLate = false;
const seek = time => {
  show(time);
  if (!hasVideo) return;
  // One seek at a time; the next goes to the cursor's position by then.
  if (video.seeking) isLate = true; else video.currentTime = landing();
};
const step = frames => seek(second(clamp(frameAt(state.time) + frames, 0, numFrames - 1)));
const toggle = () => {
  if (!hasVideo) return;
  if (!video.paused) { video.pause(); return; }
  if (state.time >= duration - facts.interval) seek(0);
  video.play().catch(() => {});
};
const follow = (_, frame) => {
  if (!video.paused && !video.seeking) show(frame ? frame.mediaTime : video.currentTime);
  if (!video.paused) next();
};
const next = () => {
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(follow); else requestAnimationFrame(follow);
};
const label = (text, name) => {
  find("play").textContent = text;
  find("play").setAttribute("aria-label", name);
};
if (hasVideo) {
  video.addEventListener("seeked", () => { if (isLate) video.currentTime = landing(); isLate = false; });
  video.addEventListener("play", () => { label("❚❚", "Pause"); next(); });
  video.addEventListener("pause", () => label("▶", "Play"));
  video.addEventListener("ended", () => { label("▶", "Play"); show(duration); });
  video.addEventListener("click", toggle);
  video.addEventListener("error", () => {
    find("sentence").textContent = "This browser cannot play the video (VP9 in WebM).";
    find("play").hidden = true;
  });
  video.src = URL.createObjectURL(new Blob(parts, {type: "video/webm"}));
} else {
  find("play").hidden = true;
  video.hidden = true;
}
find("play").addEventListener("click", toggle);

let isDragged = false;
const follows = event => {
  const place = bar.getBoundingClientRect(), part = clamp((event.clientX - place.left) / place.width, 0, 1);
  seek(state.from + part * (state.to - state.from));
};
bar.addEventListener("pointerdown", event => {
  if (event.button) return;
  isDragged = true;
  bar.setPointerCapture(event.pointerId);
  bar.focus({preventScroll: true});
  const face = rows[Math.floor((event.clientY - bar.getBoundingClientRect().top - TOP) / ROW)];
  if (face && face !== state.face) select(face);
  follows(event);
});
bar.addEventListener("pointermove", event => { if (isDragged) follows(event); });
for (const end of ["pointerup", "pointercancel"]) bar.addEventListener(end, () => { isDragged = false; });
bar.addEventListener("keydown", event => {
  const whole = state.to - state.from, least = Math.max(whole / 100, facts.interval);
  const arrow = sign => () => event.shiftKey ? step(sign) : seek(state.time + sign * least);
  const moves = {
    ArrowLeft: arrow(-1), ArrowDown: arrow(-1), ArrowRight: arrow(1), ArrowUp: arrow(1),
    PageDown: () => seek(state.time - whole / 10), PageUp: () => seek(state.time + whole / 10),
    Home: () => seek(0), End: () => seek(duration), " ": toggle,
  };
  if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  moves[event.key]();
});

for (const [seconds, text] of [[0, "all"], [1800, "30 min"], [300, "5 min"], [60, "1 min"], [10, "10 s"]]) {
  if (seconds < duration) zoom.append(new Option(text, seconds));
}
find("zoom-label").hidden = zoom.options.length < 2;
zoom.addEventListener("change", () => {
  const whole = Number(zoom.value) || duration, from = clamp(state.time - whole / 2, 0, duration - whole);
  [state.from, state.to] = [from, from + whole];
  redraw();
});
bar.setAttribute("aria-valuemax", duration.toFixed(2));
new ResizeObserver(redraw).observe(bar);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
redraw();
