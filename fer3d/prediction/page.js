"use strict";
(() => {
  const ROW = 30, STRIP = 26, CURVES = 170, AXIS = 22, MOST_ROWS = 40, ABSENT = 65535, WHOLE = 65534;
  const find = id => document.getElementById(id);
  const facts = JSON.parse(find("facts").textContent);
  const numEmotions = facts.emotions.length;

  // ---- Data: blocks of base64 become arrays. ----
  const decoded = name => [...document.querySelectorAll(`.data-${name}`)].map(element => {
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
  const times = new Uint32Array(joined(decoded("times")));  // milliseconds
  const boxes = new Uint16Array(joined(decoded("boxes")));  // frame (low, high), face, x1, y1, x2, y2
  const said = new Uint16Array(joined(decoded("predictions")));  // frame (low, high), face, said, smoothed, raw
  const BOX = 7, SAID = 4 + 2 * numEmotions, numFrames = times.length;
  const duration = numFrames ? times[numFrames - 1] / 1000 + facts.interval : 0;

  // The last place whose value is not above the wanted one; -1 where all are.
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

  // firstBox[k] is where the boxes of frame k begin; a face has spans of frames that it is seen in.
  const firstBox = new Uint32Array(numFrames + 1), faces = new Map();
  const faceOf = number => {
    if (!faces.has(number)) faces.set(number, {number, spans: [], starts: [], seen: 0});
    return faces.get(number);
  };
  for (let start = 0, frame = 0; start <= boxes.length; start += BOX) {
    const here = start < boxes.length ? frameOf(boxes, start) : numFrames;
    while (frame <= here) firstBox[frame++] = start;
    if (start >= boxes.length) break;
    const face = faceOf(boxes[start + 2]), span = face.spans.at(-1);
    face.seen++;
    if (span && span[1] === here - 1) span[1] = here; else face.spans.push([here, here]);
  }
  for (let start = 0; start < said.length; start += SAID) faceOf(said[start + 2]).starts.push(start);
  const spanAt = (face, frame) => {
    const span = face.spans[lastUpTo(face.spans.length, k => face.spans[k][0], frame)];
    return span && span[1] >= frame ? span : null;
  };
  // Where the prediction that holds at a frame begins; -1 where the face is away or has none yet.
  const holding = (face, frame) => {
    const span = spanAt(face, frame);
    const place = lastUpTo(face.starts.length, k => frameOf(said, face.starts[k]), frame);
    return span && place >= 0 && frameOf(said, face.starts[place]) >= span[0] ? face.starts[place] : -1;
  };
  const words = start => { const [label, why] = facts.said[said[start + 3]]; return label || why; };
  const hasShares = start => said[start + 4] !== ABSENT;

  const byLength = [...faces.values()].sort((one, other) => other.seen - one.seen);
  const rows = byLength.slice(0, MOST_ROWS).sort((one, other) => one.number - other.number);
  const TOP = rows.length ? CURVES + AXIS : 20 + AXIS;  // pixels above the rows; at least the bar's handle
  const colourOf = face => facts.faceColours[(face.number - 1) % facts.faceColours.length];
  const state = {time: 0, face: byLength[0] || null, from: 0, to: duration};

  // ---- What stands on the page. ----
  const video = find("video"), stage = find("stage"), bar = find("bar"), canvas = find("curves"), head = find("head");
  const made = (name, className = "", text = "") => {
    const element = document.createElement(name);
    element.className = className;
    element.textContent = text;
    return element;
  };
  const faceButton = face => {
    const button = made("button");
    button.type = "button";
    button.style.setProperty("--face", colourOf(face));
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
  if (faces.size > rows.length) find("more").textContent = `${faces.size - rows.length} more faces, seen for a shorter time, have no row; click them in the video.`;
  const bars = (faces.size ? facts.emotions : []).map((emotion, number) => {
    const row = made("li"), track = made("span", "track"), value = made("i"), raw = made("b"), digits = made("span", "number");
    track.style.setProperty("--c", `var(--e${number})`);
    track.append(value, raw);
    row.append(made("span", "name", emotion), track, digits);
    find("bars").append(row);
    return {row, value, raw, digits};
  });

  const clock = time => {
    const hundredths = Math.round(time * 100), seconds = Math.floor(hundredths / 100), two = number => String(number).padStart(2, "0");
    const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
    return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}.${two(hundredths % 100)}`;
  };

  // ---- Now: boxes over the video, and the chosen face's numbers. ----
  const boxButtons = new Map();
  const showBoxes = frame => {
    const here = new Set();
    for (let start = firstBox[frame]; start < firstBox[frame + 1]; start += BOX) {
      const face = faces.get(boxes[start + 2]), prediction = holding(face, frame);
      here.add(face.number);
      if (!boxButtons.has(face.number)) {
        const button = faceButton(face);
        button.append(made("span"));
        boxButtons.set(face.number, button);
      }
      const button = boxButtons.get(face.number), text = prediction < 0 ? "" : words(prediction);
      const [x1, y1, x2, y2] = [3, 4, 5, 6].map(k => boxes[start + k] / WHOLE);
      Object.assign(button.style, {left: `${100 * x1}%`, top: `${100 * y1}%`, width: `${100 * (x2 - x1)}%`, height: `${100 * (y2 - y1)}%`});
      button.className = `box${y1 < 0.08 ? " low" : ""}${x1 > 0.6 ? " right" : ""}`;
      button.setAttribute("aria-pressed", state.face === face);
      button.setAttribute("aria-label", `Face ${face.number}${text ? `: ${text}` : ""}`);
      // Tags of small faces would cover each other.
      const isSmall = (x2 - x1) * stage.clientWidth < 64 && state.face !== face;
      button.firstChild.textContent = text && !isSmall ? `${face.number} ${text}` : face.number;
      if (!button.isConnected) find("boxes").append(button);
    }
    for (const [number, button] of boxButtons) if (!here.has(number)) button.remove();
  };
  const showNow = frame => {
    const face = state.face;
    find("who").textContent = face ? `Face ${face.number}` : numFrames ? "No face was seen" : "";
    const prediction = face ? holding(face, frame) : -1;
    find("said").textContent = !face ? "" : prediction >= 0 ? words(prediction) : spanAt(face, frame) ? "no prediction yet" : "not in the picture";
    const known = prediction >= 0 && hasShares(prediction);
    const shares = bars.map((_, number) => known ? said[prediction + 4 + number] / WHOLE : 0);
    const best = known ? shares.indexOf(Math.max(...shares)) : -1;
    bars.forEach(({row, value, raw, digits}, number) => {
      row.className = number === best ? "best" : "";
      value.style.width = `${100 * shares[number]}%`;
      raw.hidden = !known;
      raw.style.left = known ? `${100 * said[prediction + 4 + numEmotions + number] / WHOLE}%` : "0";
      digits.textContent = known ? `${(100 * shares[number]).toFixed(1)} %` : "–";
    });
  };

  // ---- Curves and strips. ----
  const X = time => (time - state.from) / (state.to - state.from) * canvas.clientWidth;
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const draw = () => {
    const width = canvas.clientWidth, height = TOP + rows.length * ROW;
    const ratio = window.devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.clearRect(0, 0, width, height);
    const colours = facts.emotions.map((_, number) => css(`--e${number}`));
    const look = {colours, text: css("--text"), quiet: css("--quiet"), line: css("--line"), page: css("--page"), tint: css("--tint"), hatch: hatching(pen)};
    drawAxis(pen, width, height, look);
    if (state.face) drawCurves(pen, width, state.face, look);
    rows.forEach((face, number) => drawStrip(pen, width, TOP + number * ROW, face, look));
  };
  const textOn = colour => {
    const [red, green, blue] = [1, 3, 5].map(k => parseInt(colour.slice(k, k + 2), 16) / 255).map(
      channel => channel > 0.04045 ? ((channel + 0.055) / 1.055) ** 2.4 : channel / 12.92);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.2 ? "#1b1d21" : "#ffffff";
  };
  const drawAxis = (pen, width, bottom, look) => {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600];
    const step = steps.find(one => (state.to - state.from) / one <= width / 80) || 86400;
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = look.quiet;
    pen.strokeStyle = look.line;
    pen.textBaseline = "middle";
    for (let k = Math.ceil(state.from / step - 1e-9); k * step <= state.to; k++) {
      const x = Math.round(X(k * step)) + 0.5, text = clock(k * step).replace(/\.?0+$/, "");
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, bottom);
      pen.stroke();
      pen.textAlign = x < 20 ? "left" : x > width - 20 ? "right" : "center";
      pen.fillText(text, x < 20 ? x + 2 : x, TOP - AXIS / 2);
    }
    if (!rows.length) return;
    pen.textAlign = "left";
    [0, 0.5, 1].forEach(share => {
      const line = Math.round(high(share)) + 0.5;
      pen.beginPath();
      pen.moveTo(0, line);
      pen.lineTo(width, line);
      pen.stroke();
    });
    ["100 %", "50 %"].forEach((text, k) => pen.fillText(text, 4, high(1 - 0.5 * k) + 8));
  };
  const high = share => 4 + (CURVES - 8) * (1 - share);
  const drawCurves = (pen, width, face, look) => {
    for (const [offset, line, alpha] of [[4 + numEmotions, 0.75, 0.45], [4, 2, 1]]) {
      const paths = look.colours.map(() => new Path2D());
      for (const [start, end] of face.spans) {
        if (second(end) < state.from || second(start) > state.to) continue;
        const first = Math.max(lastUpTo(face.starts.length, k => frameOf(said, face.starts[k]), Math.max(start, frameAt(state.from)) - 1), 0);
        let column = -1, count = 0, sums = new Float64Array(numEmotions), begun = false;
        const put = () => {
          if (!count) return;
          paths.forEach((path, number) => {
            const y = high(sums[number] / count);
            if (!begun) path.moveTo(column, y);
            path.lineTo(column + (begun ? 0 : 0.01), y);  // a point without neighbours is a dot
          });
          begun = true;
          sums.fill(0);
          count = 0;
        };
        for (let k = first; k < face.starts.length; k++) {
          const at = face.starts[k], frame = frameOf(said, at), x = X(second(frame));
          if (frame > end) break;
          if (frame < start) continue;
          // What falls into three pixels is averaged: thinner lines would run into each other.
          if (Math.floor(x / 3) !== Math.floor(column / 3)) { put(); column = x; }
          if (hasShares(at)) { for (let e = 0; e < numEmotions; e++) sums[e] += said[at + offset + e] / WHOLE; count++; }
          else { put(); begun = false; }
          if (x > width) break;
        }
        put();
      }
      pen.lineWidth = line;
      pen.globalAlpha = alpha;
      pen.lineJoin = pen.lineCap = "round";
      paths.forEach((path, number) => {
        pen.strokeStyle = look.colours[number];
        // Where colours come again, lines are dashed.
        pen.setLineDash(look.colours.indexOf(look.colours[number]) < number ? [5, 5] : []);
        pen.stroke(path);
      });
      pen.setLineDash([]);
      pen.globalAlpha = 1;
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
  const drawStrip = (pen, width, top, face, look) => {
    const piece = (from, to, which) => {
      const x1 = Math.max(X(from), 0), x2 = Math.min(X(to), width), [label, why] = which < 0 ? ["", ""] : facts.said[which];
      if (x2 <= 0 || x1 >= width || x2 <= x1) return;
      pen.fillStyle = label ? look.colours[facts.emotions.indexOf(label)] || look.quiet : look.hatch;
      pen.fillRect(x1, top, Math.max(x2 - x1, 0.5), STRIP);
      const text = label || why;
      if (!text || x2 - x1 < 20) return;
      const length = pen.measureText(text).width;
      if (length + 8 > x2 - x1) return;
      if (!label) { pen.fillStyle = look.tint; pen.fillRect((x1 + x2 - length) / 2 - 3, top + 4, length + 6, STRIP - 8); }
      pen.fillStyle = label ? textOn(look.colours[facts.emotions.indexOf(label)]) : look.text;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(text, (x1 + x2) / 2, top + STRIP / 2 + 1);
    };
    const from = frameAt(state.from), to = frameAt(state.to);
    for (const [start, end] of face.spans) {
      if (end < from || start > to) continue;
      let k = Math.max(lastUpTo(face.starts.length, k => frameOf(said, face.starts[k]), Math.max(start, from)), 0);
      let since = start, which = -1;
      for (; k < face.starts.length; k++) {
        const frame = frameOf(said, face.starts[k]);
        if (frame > end || frame > to) break;
        if (frame < start || said[face.starts[k] + 3] === which) continue;
        if (which >= 0) piece(second(since), second(frame), which);
        since = frame;
        which = said[face.starts[k] + 3];
      }
      piece(second(since), second(end + 1), which);
    }
  };

  // ---- Time: one moment that everything shows. ----
  const select = face => { state.face = face; draw(); show(state.time); };
  const show = time => {
    state.time = Math.min(Math.max(time, 0), duration);
    const frame = frameAt(state.time), whole = state.to - state.from;
    if (whole < duration && (state.time < state.from || state.time > state.to - 0.02 * whole)) {
      const from = Math.min(Math.max(state.time - 0.1 * whole, 0), duration - whole);
      if (Math.abs(from - state.from) > 1e-6) { [state.from, state.to] = [from, from + whole]; draw(); }
    }
    head.style.transform = `translateX(${X(state.time)}px)`;
    if (numFrames) showBoxes(frame);
    showNow(frame);
    names.forEach((button, number) => button.setAttribute("aria-pressed", rows[number] === state.face));
    find("clock").textContent = `${clock(state.time)} / ${clock(duration)}`;
    // While it plays, a screen reader need not hear of every frame.
    if (!video.paused && Math.abs(state.time - Number(bar.getAttribute("aria-valuenow"))) < 1) return;
    bar.setAttribute("aria-valuenow", state.time.toFixed(2));
    bar.setAttribute("aria-valuetext", `${clock(state.time)}${state.face ? `, face ${state.face.number}: ${find("said").textContent}` : ""}`);
  };
  const parts = decoded("video"), hasVideo = parts.length > 0;
  // A little later, since the beginning of a frame may be rounded to before it.
  const landing = () => Math.min(state.time + 0.0005, duration);
  let isLate = false;
  const seek = time => {
    show(time);
    if (!hasVideo) return;
    // One jump at a time; the next one goes to where the bar is by then.
    if (video.seeking) isLate = true; else video.currentTime = landing();
  };
  const step = frames => seek(second(Math.min(Math.max(frameAt(state.time) + frames, 0), numFrames - 1)));
  const toggle = () => {
    if (!hasVideo) return;
    if (!video.paused) { video.pause(); return; }
    if (state.time >= duration - facts.interval) seek(0);
    video.play().catch(() => {});
  };
  if (hasVideo) {
    video.src = URL.createObjectURL(new Blob(parts, {type: "video/webm"}));
    video.addEventListener("seeked", () => { if (isLate) video.currentTime = landing(); isLate = false; });
    const follow = (_, frame) => {
      if (!video.paused && !video.seeking) show(frame ? frame.mediaTime : video.currentTime);
      if (!video.paused) next();
    };
    const next = () => video.requestVideoFrameCallback ? video.requestVideoFrameCallback(follow) : requestAnimationFrame(follow);
    video.addEventListener("play", () => { find("play").textContent = "❚❚"; find("play").setAttribute("aria-label", "Pause"); next(); });
    video.addEventListener("error", () => { find("sentence").textContent = "This browser cannot play the video (VP9 in WebM)."; find("play").hidden = true; });
    for (const event of ["pause", "ended"]) video.addEventListener(event, () => { find("play").textContent = "▶"; find("play").setAttribute("aria-label", "Play"); });
    video.addEventListener("ended", () => show(duration));
    video.addEventListener("click", toggle);
  } else {
    find("play").hidden = true;
    video.hidden = true;
  }
  find("play").addEventListener("click", toggle);

  const timeAt = event => {
    const place = bar.getBoundingClientRect();
    return state.from + (event.clientX - place.left) / place.width * (state.to - state.from);
  };
  let dragging = false;
  bar.addEventListener("pointerdown", event => {
    if (event.button) return;
    dragging = true;
    bar.setPointerCapture(event.pointerId);
    bar.focus({preventScroll: true});
    const row = Math.floor((event.clientY - bar.getBoundingClientRect().top - TOP) / ROW);
    if (rows[row] && rows[row] !== state.face) select(rows[row]);
    seek(timeAt(event));
  });
  bar.addEventListener("pointermove", event => { if (dragging) seek(Math.min(Math.max(timeAt(event), state.from), state.to)); });
  for (const event of ["pointerup", "pointercancel"]) bar.addEventListener(event, () => { dragging = false; });
  bar.addEventListener("keydown", event => {
    const whole = state.to - state.from, least = Math.max(whole / 100, facts.interval), turn = event.shiftKey;
    const moves = {
      ArrowLeft: () => turn ? step(-1) : seek(state.time - least), ArrowDown: () => turn ? step(-1) : seek(state.time - least),
      ArrowRight: () => turn ? step(1) : seek(state.time + least), ArrowUp: () => turn ? step(1) : seek(state.time + least),
      PageDown: () => seek(state.time - whole / 10), PageUp: () => seek(state.time + whole / 10),
      Home: () => seek(0), End: () => seek(duration), " ": toggle,
    };
    if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moves[event.key]();
  });

  const zoom = find("zoom");
  for (const [seconds, text] of [[0, "all"], [1800, "30 min"], [300, "5 min"], [60, "1 min"], [10, "10 s"]]) {
    if (seconds < duration) zoom.append(new Option(text, seconds));
  }
  find("zoom-label").hidden = zoom.options.length < 2;
  zoom.addEventListener("change", () => {
    const whole = Number(zoom.value) || duration, from = Math.min(Math.max(state.time - whole / 2, 0), duration - whole);
    [state.from, state.to] = [from, from + whole];
    draw();
    show(state.time);
  });
  bar.setAttribute("aria-valuemax", duration.toFixed(2));
  const redraw = () => { draw(); show(state.time); };
  new ResizeObserver(redraw).observe(bar);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  if (!duration) state.to = 1;
  redraw();
})();
