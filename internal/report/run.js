
"use strict";
(() => {
  // What the page shows is drawn already; this lets a reader read numbers off,
  // hide curves, and enlarge a stretch of steps in all charts at once.
  const charts = JSON.parse(document.getElementById("data").textContent);
  const figures = [...document.querySelectorAll(".chart")];
  const SIDE = 1000;
  // An axis is what the charts that are over the same have in common: the whole
  // of its numbers and the span of them that is shown.
  const axes = {};
  for (const c of charts) {
    const axis = c.along = axes[c.axis] ??= { whole: [Infinity, -Infinity] };
    for (const s of c.curves) {
      axis.whole[0] = Math.min(axis.whole[0], s.x[0]);
      axis.whole[1] = Math.max(axis.whole[1], s.x[s.x.length - 1]);
    }
  }
  for (const { whole } of Object.values(axes)) if (whole[0] === whole[1]) { whole[0]--; whole[1]++; }
  for (const axis of Object.values(axes)) axis.span = axis.whole.slice();

  const add = (parent, tag, cls) => {
    const e = document.createElement(tag);
    if (cls) e.className = cls;
    return parent.appendChild(e);
  };
  const percent = x => (100 * x).toFixed(2) + "%";
  const show = x => Math.abs(x) >= 1000 ? Math.round(x).toLocaleString("en") : String(+x.toPrecision(5));

  // ticks returns about n round numbers between low and high.
  function ticks(low, high, n, least) {
    const rough = (high - low) / n, ten = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(least, [1, 2, 5, 10].map(m => m * ten).find(s => s >= rough * 0.999));
    const all = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high * (1 + 1e-12); i++) all.push(+(i * step).toPrecision(12));
    return all;
  }
  // powers returns at most n powers of two, as axisTicks in numbers.go.
  function powers(low, high, n) {
    const first = Math.ceil(Math.log2(low) - 1e-9), last = Math.floor(Math.log2(high) + 1e-9), all = [];
    for (let e = first; e <= last; e += Math.ceil((last - first + 1) / n)) all.push(2 ** e);
    return all;
  }
  const binary = x => x >= 2 ** 20 ? +(x / 2 ** 20).toPrecision(6) + "Mi" : +(x / 1024).toPrecision(6) + "Ki";
  function label(x) {
    const a = Math.abs(x);
    if (a >= 1e6) return +(x / 1e6).toPrecision(6) + "M";
    if (a >= 1e4) return +(x / 1e3).toPrecision(6) + "k";
    if (a >= 1000) return x.toLocaleString("en");
    return a > 0 && a < 1e-4 ? x.toExponential() : String(+x.toPrecision(6));
  }

  // nearest returns the index of the point of a curve that is next to a step.
  function nearest(xs, x) {
    let low = 0, high = xs.length - 1;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (xs[mid] < x) low = mid + 1; else high = mid;
    }
    return low > 0 && x - xs[low - 1] < xs[low] - x ? low - 1 : low;
  }

  // draw draws a chart for the steps in its span.
  function draw(c) {
    const { whole, span } = c.along, logx = c.logx && span[0] > 0;
    const g = logx ? Math.log2 : x => x;
    const f = c.log && c.logarithmic ? y => Math.log10(y) : y => y;
    const drawable = y => Number.isFinite(f(y));
    let low = Infinity, high = -Infinity;
    const see = y => { if (drawable(y)) { low = Math.min(low, y); high = Math.max(high, y); } };
    for (const s of c.curves) if (!s.hidden) s.x.forEach((x, i) => {
      // The next points beyond count too: the line runs to them.
      if ((s.x[i + 1] ?? x) >= span[0] && (s.x[i - 1] ?? x) <= span[1]) for (const y of [s.y, s.low, s.high]) if (y) see(y[i]);
    });
    if (c.levels && span[0] === whole[0] && span[1] === whole[1]) for (const l of c.levels) see(l.y);
    if (low > high) { low = 1; high = 2; }
    let a = f(low), b = f(high);
    const room = (b - a) * 0.05 || Math.abs(b) * 0.05 || 1e-9;
    a = low >= 0 && !c.logarithmic ? Math.max(a - room, 0) : a - room;
    b += room;
    c.right = x => (g(x) - g(span[0])) / (g(span[1]) - g(span[0]));
    c.stepAt = share => logx ? 2 ** (g(span[0]) + share * (g(span[1]) - g(span[0]))) : span[0] + share * (span[1] - span[0]);
    const down = y => (b - f(y)) / (b - a);
    const at = (x, y) => (SIDE * c.right(x)).toFixed(1) + " " + (SIDE * down(y)).toFixed(1);
    c.curves.forEach((s, k) => {
      let line = "", dots = "";
      s.x.forEach((x, i) => {
        if (!drawable(s.y[i])) return;
        line += (line ? "L" : "M") + at(x, s.y[i]);
        if (s.dots) dots += "M" + at(x, s.y[i]) + "h0";
      });
      c.paths[k].setAttribute("d", s.hidden ? "" : line);
      if (s.low) {
        const edge = (ys, i) => at(s.x[i], ys[i]), all = s.x.map((_, i) => i).filter(i => drawable(s.low[i]) && drawable(s.high[i]));
        c.bands[k].setAttribute("d", s.hidden || all.length < 2 ? "" : "M" + [...all.map(i => edge(s.high, i)), ...all.reverse().map(i => edge(s.low, i))].join("L") + "Z");
      }
      c.spots[k].setAttribute("d", s.hidden ? "" : dots);
    });
    (c.levels || []).forEach((l, k) => c.lines[k].setAttribute("d", drawable(l.y) ? "M0 " + (SIDE * down(l.y)).toFixed(1) + "H" + SIDE : ""));
    let ys = ticks(a, b, 5, 0).map(y => [y, y]);
    if (c.logarithmic) {
      const values = [];
      for (let e = Math.floor(a); e <= b; e++) for (const m of b - a < 1.2 ? [1, 1.5, 2, 3, 5, 7] : [1, 3]) values.push(+(m * 10 ** e).toPrecision(2));
      ys = values.map(y => [Math.log10(y), y]).filter(([p]) => p >= a && p <= b);
      if (ys.length < 2) ys = ticks(10 ** a, 10 ** b, 4, 0).map(y => [Math.log10(y), y]);
    }
    c.y.replaceChildren();
    c.grid.replaceChildren();
    for (const [p, y] of ys) {
      const top = percent((b - p) / (b - a));
      const s = add(c.y, "span");
      s.textContent = label(y);
      s.style.top = add(c.grid, "i").style.top = top;
    }
    c.x.replaceChildren();
    for (const x of logx && span[1] >= 4 * span[0] ? powers(span[0], span[1], 6) : ticks(span[0], span[1], 5, 1)) {
      const s = add(c.x, "span");
      s.textContent = logx && x >= 1024 && x % 1024 === 0 ? binary(x) : label(x);
      s.style.left = percent(c.right(x));
      s.className = c.right(x) < .07 ? "first" : c.right(x) > .93 ? "last" : ""; // as Edge in chart.go
    }
    c.reset.hidden = span[0] === whole[0] && span[1] === whole[1];
    c.figure.classList.toggle("zoomed", !c.reset.hidden);
  }
  const zoom = (axis, from, to) => {
    axis.span = [Math.max(axis.whole[0], from), Math.min(axis.whole[1], to)];
    leave();
    charts.filter(c => c.along === axis).forEach(draw);
  };

  // point shows the numbers at a step: the line in all charts, the numbers in one.
  function point(c, x) {
    for (const other of charts) {
      if (other.along !== c.along) continue;
      other.cross.hidden = false;
      other.cross.style.left = percent(other.right(x));
      other.tip.hidden = other !== c;
    }
    c.at = x;
    c.tip.replaceChildren();
    add(c.tip, "b").textContent = c.axis + " " + x.toLocaleString("en");
    for (const s of c.curves) {
      if (s.hidden) continue;
      const i = nearest(s.x, x), row = add(c.tip, "span", "key " + s.kind);
      add(row, "i");
      row.append(s.name + " " + show(s.y[i]) + (s.x[i] === x ? "" : " (" + c.axis + " " + s.x[i].toLocaleString("en") + ")"));
    }
    const share = c.right(x), left = share < 0.5;
    c.tip.style.left = left ? "calc(" + percent(share) + " + 10px)" : "";
    c.tip.style.right = left ? "" : "calc(" + percent(1 - share) + " + 10px)";
  }
  function leave() {
    for (const c of charts) if (c.cross) c.cross.hidden = c.tip.hidden = true;
  }

  charts.forEach((c, k) => {
    const figure = c.figure = figures[k];
    figure.classList.add("live");
    const get = q => figure.querySelector(q);
    const area = get(".area"), legend = get(".legend");
    c.y = get(".y"); c.x = get(".x"); c.grid = get(".grid");
    c.lines = [...figure.querySelectorAll("svg path.level")];
    c.paths = [...figure.querySelectorAll("svg path.line")];
    const bands = [...figure.querySelectorAll("svg path.band")];
    c.bands = c.curves.map(s => s.low && bands.shift());
    c.spots = [...figure.querySelectorAll("svg path.dots")];
    c.cross = add(area, "div", "cross");
    c.tip = add(area, "div", "tip");
    const pick = add(area, "div", "pick");
    c.cross.hidden = c.tip.hidden = pick.hidden = true;

    c.curves.forEach((s, i) => {
      const key = legend.querySelectorAll(".key:not(.level)")[i], button = document.createElement("button");
      if (!key) return; // a curve that is alone
      button.className = key.className;
      button.append(...key.childNodes);
      button.title = "show or hide";
      button.setAttribute("aria-pressed", "true");
      button.onclick = () => { s.hidden = !s.hidden; button.setAttribute("aria-pressed", String(!s.hidden)); draw(c); };
      key.replaceWith(button);
    });
    if (c.log) {
      const log = add(legend, "button", "do");
      log.textContent = "log";
      log.title = "logarithmic scale";
      log.setAttribute("aria-pressed", "false");
      log.onclick = () => { c.logarithmic = !c.logarithmic; log.setAttribute("aria-pressed", String(c.logarithmic)); draw(c); };
    }
    c.reset = add(legend, "button", "do");
    c.reset.textContent = "all " + c.axis + "s";
    c.reset.hidden = true;
    c.reset.onclick = () => zoom(c.along, ...c.along.whole);

    const dense = c.curves.reduce((best, s) => s.x.length > best.x.length ? s : best);
    const shareOf = e => { const r = area.getBoundingClientRect(); return Math.min(1, Math.max(0, (e.clientX - r.left) / r.width)); };
    const within = x => Math.min(c.along.span[1], Math.max(c.along.span[0], x));
    const snap = share => within(dense.x[nearest(dense.x, c.stepAt(share))]);
    let from = null;
    area.onpointermove = e => {
      const to = shareOf(e);
      point(c, snap(to));
      if (from === null) return;
      pick.hidden = Math.abs(to - from) < 0.01;
      pick.style.left = percent(Math.min(from, to));
      pick.style.width = percent(Math.abs(to - from));
    };
    area.onpointerdown = e => {
      if (e.pointerType === "mouse" && e.button === 0) { from = shareOf(e); area.setPointerCapture(e.pointerId); } else point(c, snap(shareOf(e)));
    };
    area.onpointerup = e => {
      const start = from, to = shareOf(e);
      from = null;
      pick.hidden = true;
      if (start === null || Math.abs(to - start) < 0.01) return;
      const a = c.stepAt(Math.min(start, to)), b = c.stepAt(Math.max(start, to));
      if (b - a >= 2) zoom(c.along, a, b);
    };
    area.onpointercancel = () => { from = null; pick.hidden = true; };
    area.onpointerleave = leave;
    area.ondblclick = () => zoom(c.along, ...c.along.whole);
    area.tabIndex = 0;
    area.onblur = leave;
    area.onkeydown = e => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
      if (e.key === "Escape") zoom(c.along, ...c.along.whole);
      if (!by) return;
      e.preventDefault();
      const i = c.cross.hidden ? dense.x.length - 1 : nearest(dense.x, c.at) + by;
      const x = dense.x[Math.min(dense.x.length - 1, Math.max(0, i))];
      if (x === within(x)) point(c, x);
    };
    draw(c);
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(d => { d.open = true; }));
})();
