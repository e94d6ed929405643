// The canvas: curves of the selected face, a time axis, and a strip of labels per face.

const ROW = 30, STRIP = 26, CURVES = 170, AXIS = 22;
const TOP = (rows.length ? CURVES : 20) + AXIS;  // pixels above the rows; at least the cursor's handle
const canvas = find("curves");

const X = time => (time - state.from) / (state.to - state.from) * canvas.clientWidth;
const Y = share => 4 + (CURVES - 8) * (1 - share);
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const textOn = colour => {
  const [red, green, blue] = [1, 3, 5].map(k => parseInt(colour.slice(k, k + 2), 16) / 255).map(
    channel => channel > 0.04045 ? ((channel + 0.055) / 1.055) ** 2.4 : channel / 12.92);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.2 ? "#1b1d21" : "#ffffff";
};

const draw = () => {
  const width = canvas.clientWidth, height = TOP + rows.length * ROW, ratio = window.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  const look = {colours: facts.emotions.map((_, number) => css(`--e${number}`)), hatch: hatching(pen)};
  for (const name of ["text", "quiet", "line", "tint"]) look[name] = css(`--${name}`);
  drawAxes(pen, width, height, look);
  if (state.face) drawCurves(pen, width, state.face, look);
  rows.forEach((face, number) => drawStrip(pen, width, TOP + number * ROW, face, look));
};

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600];
const drawAxes = (pen, width, height, look) => {
  const line = (x1, y1, x2, y2) => { pen.beginPath(); pen.moveTo(x1, y1); pen.lineTo(x2, y2); pen.stroke(); };
  const step = STEPS.find(one => (state.to - state.from) / one <= width / 80) || 86400;
  pen.fillStyle = look.quiet;
  pen.strokeStyle = look.line;
  for (let k = Math.ceil(state.from / step - 1e-9); k * step <= state.to; k++) {
    const x = Math.round(X(k * step)) + 0.5, isFirst = x < 20;
    line(x, 0, x, height);
    pen.textAlign = isFirst ? "left" : x > width - 20 ? "right" : "center";
    pen.fillText(clock(k * step).replace(/\.?0+$/, ""), isFirst ? x + 2 : x, TOP - AXIS / 2);
  }
  if (!rows.length) return;
  pen.textAlign = "left";
  for (const [height, text] of [[0, ""], [0.5, "50 %"], [1, "100 %"]]) {
    const y = Math.round(Y(height)) + 0.5;
    line(0, y, width, y);
    pen.fillText(text, 12, y + 8);  // beside the handle at the start
  }
};

const drawCurves = (pen, width, face, look) => {
  for (const [kind, line, alpha] of [[RAW, 0.75, 0.45], [SMOOTHED, 2, 1]]) {
    const paths = look.colours.map(() => new Path2D());
    for (const span of face.spans) drawSpan(paths, width, face, span, kind);
    pen.lineWidth = line;
    pen.globalAlpha = alpha;
    pen.lineJoin = pen.lineCap = "round";
    paths.forEach((path, number) => {
      pen.strokeStyle = look.colours[number];
      // Repeated colours are dashed.
      pen.setLineDash(look.colours.indexOf(look.colours[number]) < number ? [5, 5] : []);
      pen.stroke(path);
    });
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }
};
const drawSpan = (paths, width, face, [start, end], kind) => {
  if (second(end) < state.from || second(start) > state.to) return;
  let column = -1, count = 0, isBegun = false;
  const sums = new Float64Array(numEmotions);
  const put = () => {
    if (!count) return;
    paths.forEach((path, number) => {
      const y = Y(sums[number] / count);
      if (!isBegun) path.moveTo(column, y);
      path.lineTo(column + (isBegun ? 0 : 0.01), y);  // an isolated point is a dot
    });
    isBegun = true;
    sums.fill(0);
    count = 0;
  };
  // From the last point before the visible range to the first after it.
  let k = Math.max(lastPrediction(face, Math.max(start, frameAt(state.from)) - 1), 0);
  for (; k < face.starts.length; k++) {
    const at = face.starts[k], frame = frameOf(said, at), x = X(second(frame));
    if (frame > end) break;
    if (frame < start) continue;
    // Average over three pixels; finer lines would merge.
    if (Math.floor(x / 3) !== Math.floor(column / 3)) { put(); column = x; }
    if (hasShares(at)) {
      for (let emotion = 0; emotion < numEmotions; emotion++) sums[emotion] += share(at, kind, emotion);
      count++;
    } else { put(); isBegun = false; }
    if (x > width) break;
  }
  put();
};

const drawStrip = (pen, width, top, face, look) => {
  const piece = (from, to, which) => {
    const x1 = Math.max(X(from), 0), x2 = Math.min(X(to), width);
    if (x2 <= x1) return;
    const [label, why] = which < 0 ? ["", ""] : facts.said[which], text = label || why;
    const colour = look.colours[facts.emotions.indexOf(label)];
    pen.fillStyle = colour || look.hatch;
    pen.fillRect(x1, top, Math.max(x2 - x1, 0.5), STRIP);
    if (!text || x2 - x1 < 20) return;
    const length = pen.measureText(text).width, middle = (x1 + x2) / 2;
    if (length + 8 > x2 - x1) return;
    pen.fillStyle = look.tint;
    if (!colour) pen.fillRect(middle - length / 2 - 3, top + 4, length + 6, STRIP - 8);
    pen.fillStyle = colour ? textOn(colour) : look.text;
    pen.textAlign = "center";
    pen.fillText(text, middle, top + STRIP / 2 + 1);
  };
  const from = frameAt(state.from), to = frameAt(state.to);
  for (const [start, end] of face.spans) {
    if (end < from || start > to) continue;
    let since = start, which = -1;
    for (let k = Math.max(lastPrediction(face, Math.max(start, from)), 0); k < face.starts.length; k++) {
      const frame = frameOf(said, face.starts[k]), next = said[face.starts[k] + 3];
      if (frame > end || frame > to) break;
      if (frame < start || next === which) continue;
      piece(second(since), second(frame), which);
      [since, which] = [frame, next];
    }
    piece(second(since), second(end + 1), which);
  }
};
const hatching = pen => {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const small = tile.getContext("2d");
  small.fillStyle = css("--tint");
  small.fillRect(0, 0, 6, 6);
  small.strokeStyle = css("--quiet");
  small.lineWidth = 0.8;
  for (const shift of [-6, 0, 6]) { small.moveTo(shift, 6); small.lineTo(shift + 6, 0); }
  small.stroke();
  return pen.createPattern(tile, "repeat");
};
