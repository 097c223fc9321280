"use strict";
// Draws the run. Whatever a record or a service says goes into text nodes, and never into markup.
const run = JSON.parse(document.getElementById("run").textContent);
const SERVICES = Object.keys(run.lanes);
const WORDS = {
  created: "created", unchanged: "unchanged", rejected: "rejected", undelivered: "undelivered", again: "sent again",
};
const PARTS = { check: "checking references", wait: "waiting for a transaction", commit: "transaction" };
const MARKS = {
  created: "M1 5.5 4 8.5 9 2", unchanged: "M1 3.5H9M1 7H9", rejected: "M2 2 8.5 8.5M8.5 2 2 8.5",
  undelivered: "M5 .5V6M5 9.2V9.4", again: "M8.8 5.2A3.8 3.8 0 1 1 7 1.9M7.4-.8V2.2H4.4",
};
const TOP = 18, SIDE = 6, AFTER = 20;
const byId = (id) => document.getElementById(id);

function add(parent, tag, attributes = {}, text = "") {
  const svg = ["svg", "g", "rect", "path", "line", "text", "title", "defs", "pattern"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  parent.append(made);
  return made;
}

const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
function time(ms) {
  if (ms >= 9999.5) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 999.5 ? `${(ms / 1000).toFixed(2)} s` : `${ms >= 99.5 ? ms.toFixed(0) : ms.toFixed(ms < 1 ? 2 : 1)} ms`;
}
function toned(parent, end, text = WORDS[end]) {
  const span = add(parent, "span", { class: `tone ${end}` });
  const svg = add(span, "svg", { width: 10, height: 10, "aria-hidden": "true" });
  add(svg, "path", { d: MARKS[end], class: "mark" });
  span.append(text);
}

// What a bar is called, what most of it came to, and which transactions it was in.
const lanes = {};
for (const service of SERVICES) {
  lanes[service] = run.lanes[service].map((bar, index) => {
    const ends = Object.entries(bar.ends).sort((a, b) => b[1] - a[1]);
    const record = bar.record === null ? null : run.records[bar.record];
    const [first, last] = [bar.attempts[0], bar.attempts.at(-1)];
    const name = bar.requests > 1 ? `${count(bar.requests, "request")} from ${bar.origin} on`
      : run.batches ? `batch from ${bar.origin}` : record && record.id !== null ? `${service} ${record.id}` : bar.origin;
    const commits = new Set(bar.attempts.map((attempt) => attempt.commit).filter((number) => number !== null));
    return { ...bar, service, index, ends, main: ends.length ? ends[0][0] : "undelivered", name, commits, from: first.began, to: last.answered };
  });
}
const all = SERVICES.flatMap((service) => lanes[service]);
const kin = (bar) => lanes[bar.service].filter((other) => other !== bar && [...bar.commits].some((c) => other.commits.has(c)));
const endsOf = (bar) => bar.ends.map(([end, n]) => (bar.ends.length > 1 || n > 1 ? `${n.toLocaleString("en")} ` : "") + WORDS[end]).join(", ");
function spoken(bar) {
  const shared = kin(bar).length ? `, transaction ${[...bar.commits].join(", ")} shared with ${count(kin(bar).length, "other")}` : "";
  const tries = bar.attempts.length > 1 ? `, ${count(bar.attempts.length, "attempt")}` : "";
  const why = bar.record === null ? "" : run.records[bar.record].why;
  return `${bar.name}: ${endsOf(bar)}${why ? `, ${why}` : ""}, ${time(bar.to - bar.from)}${tries}${shared}`;
}

function ticks(to, most) {
  const step = [1, 2, 5].flatMap((n) => [...Array(9)].map((_, e) => n * 10 ** (e - 2))).sort((a, b) => a - b)
    .find((size) => to / size <= most) || to;
  return [...Array(Math.floor(to / step) + 1)].map((_, n) => n * step);
}

// The lanes.
const groups = new Map(), places = new Map(), details = byId("details");
function drawLanes() {
  const place = byId("lanes");
  byId("stage").append(details);
  const width = Math.max(place.clientWidth, 280);
  const end = Math.max(...all.map((bar) => bar.to), 0.001);
  const x = (ms) => SIDE + (ms / end) * (width - SIDE - AFTER);
  place.replaceChildren();
  groups.clear();
  for (const service of SERVICES) drawLane(add(place, "div", { class: "lane" }), service, width, x, end);
  if (chosen) choose(chosen);
}

function drawLane(place, service, width, x, end) {
  const bars = lanes[service], rows = 1 + Math.max(-1, ...bars.map((bar) => bar.row));
  const title = add(place, "div", { class: "lane-title" });
  add(title, "h3", {}, service);
  const { peak_in_flight: peak, sent } = run.summaries[service];
  const noun = run.batches ? "batch" : "request";
  const n = bars.reduce((sum, bar) => sum + bar.requests, 0);
  const requests = n === 1 || noun === "request" ? count(n, noun) : `${n.toLocaleString("en")} batches`;
  add(title, "span", {}, n ? `${requests} for ${count(sent, "record")}, at most ${peak} in flight at once` : "nothing was sent");
  if (!n) return;
  const height = Math.max(3, Math.min(17, Math.floor(360 / Math.max(rows, 1))));
  const tall = TOP + rows * height + 22;
  const svg = add(place, "svg", {
    viewBox: `0 0 ${width} ${tall}`, width: "100%", role: "listbox", "aria-label": `${service}: ${count(bars.length, "bar")}`,
    "aria-orientation": "horizontal",
  });
  const pattern = add(add(svg, "defs"), "pattern", { id: "hatch", width: 4, height: 4, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  add(pattern, "line", { x1: 1, y1: 0, x2: 1, y2: 4, class: "hatch" });
  for (const ms of ticks(end, width / 80)) {
    add(svg, "line", { x1: x(ms), x2: x(ms), y1: TOP, y2: TOP + rows * height, class: "grid" });
    add(svg, "text", { x: x(ms), y: tall - 7, "text-anchor": ms ? "middle" : "start", "aria-hidden": "true" }, ms ? time(ms).replace(/\.0+ /, " ") : "0");
  }
  drawBands(svg, bars, x, height);
  drawLinks(svg, bars, x, height);
  for (const bar of bars) drawBar(svg, bar, x, height);
  // Above all bars, since the next one may begin where one ends; what is usual goes without a mark there.
  if (height >= 12) for (const [at, bar] of bars.entries()) {
    const next = bars[at + 1];
    if (bar.main === "created" && next && next.row === bar.row && x(next.from) - x(bar.to) < 16) continue;
    const mark = add(svg, "g", { class: `end ${bar.main}`, transform: `translate(${x(bar.to) + 4} ${TOP + (bar.row + 0.5) * height - 5})`, "aria-hidden": "true" });
    for (const kind of ["halo", "mark"]) add(mark, "path", { d: MARKS[bar.main], class: kind });
  }
  groups.get(bars[0]).setAttribute("tabindex", 0);
  places.set(service, place);
}

function drawBands(svg, bars, x, height) {
  const bands = new Map();
  for (const bar of bars) for (const attempt of bar.attempts) {
    const part = attempt.parts.find(({ name }) => name === "commit");
    if (attempt.commit === null || !part) continue;
    const band = bands.get(attempt.commit) || { ...part, rows: [], number: attempt.commit };
    band.rows.push(bar.row);
    bands.set(attempt.commit, band);
  }
  let free = 0;
  for (const band of [...bands.values()].filter(({ rows }) => rows.length > 1).sort((a, b) => a.from - b.from)) {
    const [top, bottom] = [Math.min(...band.rows), Math.max(...band.rows) + 1];
    const left = x(band.from), right = Math.max(x(band.to), left + 2);
    const box = { x: left, width: right - left, y: TOP + top * height - 3, height: (bottom - top) * height + 6 };
    const drawn = add(svg, "g", { "data-commit": band.number, "data-requests": band.rows.length, "aria-hidden": "true" });
    add(drawn, "rect", { ...box, class: "band" });
    for (const edge of [left, right]) add(drawn, "line", { x1: edge, x2: edge, y1: box.y, y2: box.y + box.height, class: "band-edge" });
    const words = `${band.rows.length} in one`;
    const at = Math.max(left - 1, SIDE);
    if (at > free) {
      add(drawn, "text", { x: at, y: 11, class: "band-name" }, words);
      add(drawn, "line", { x1: left, x2: left, y1: 13, y2: box.y, class: "band-edge" });
      free = at + words.length * 6 + 8;
    }
  }
}

function drawLinks(svg, bars, x, height) {
  const middle = (bar) => TOP + (bar.row + 0.5) * height;
  const before = new Map();
  for (const bar of bars.filter(({ record }) => record !== null).sort((a, b) => a.from - b.from)) {
    const first = before.get(bar.record);
    if (first) add(svg, "path", { class: "link again", d: `M${x(first.to)} ${middle(first)}L${x(bar.from)} ${middle(bar)}` });
    before.set(bar.record, bar);
  }
}

function drawBar(svg, bar, x, height) {
  const y = TOP + bar.row * height, tall = height > 6 ? height - 5 : Math.max(height - 1, 2), top = y + (height - tall) / 2;
  const group = add(svg, "g", { class: `bar ${bar.main}`, role: "option", tabindex: -1, "aria-selected": "false", "aria-label": spoken(bar) });
  groups.set(bar, group);
  const wide = (from, to, least) => ({ x: x(from), width: Math.max(x(to) - x(from), least), y: top, height: tall });
  bar.attempts.forEach((attempt, at) => {
    const last = at === bar.attempts.length - 1;
    const part = add(group, "g", { class: last ? bar.main : "again" });
    if (!last) add(part, "path", { class: "pause", d: `M${x(attempt.answered)} ${y + height / 2}H${x(bar.attempts[at + 1].began)}` });
    const held = x(attempt.sent) - x(attempt.began);
    if (held > 1) add(part, "rect", { ...wide(attempt.began, attempt.sent, 0), width: held + 3, rx: Math.min(3, tall / 3), class: "held" });
    add(part, "rect", { ...wide(attempt.sent, attempt.answered, 2), rx: Math.min(3, tall / 3), class: "way" });
    for (const { name, from, to } of attempt.parts) {
      add(part, "rect", { ...wide(from, to, name === "commit" ? 1.5 : 0), class: name });
    }
  });
  // In a bar of many records, those that are not stored have their share of its height.
  const amiss = bar.ends.find(([end]) => end !== bar.main && ["rejected", "undelivered", "again"].includes(end));
  if (amiss) {
    const share = Math.max(2, (tall * amiss[1]) / bar.ends.reduce((sum, [, n]) => sum + n, 0));
    add(group, "rect", { ...wide(bar.from, bar.to, 2), y: top + tall - share, height: share, class: `some ${amiss[0]}` });
  }
  add(group, "rect", { class: "target", x: x(bar.from) - 2, width: Math.max(x(bar.to) - x(bar.from), 4) + 4, y, height, rx: 3 });
  group.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && !held && choose(bar));
  group.addEventListener("click", () => { held = true; choose(bar); });
  group.addEventListener("focus", () => choose(bar));
  group.addEventListener("keydown", (event) => onKey(event, bar));
}

// Choosing a bar.
let chosen = null, held = false;
function choose(bar) {
  if (chosen) {
    groups.get(chosen).setAttribute("aria-selected", "false");
    for (const other of lanes[chosen.service]) groups.get(other).classList.remove("chosen", "kin");
  }
  chosen = bar;
  for (const other of lanes[bar.service]) groups.get(other).setAttribute("tabindex", other === bar ? 0 : -1);
  show(bar);
  describe(bar);
}
function show(bar) {
  groups.get(bar).classList.add("chosen");
  groups.get(bar).setAttribute("aria-selected", "true");
  for (const other of kin(bar)) groups.get(other).classList.add("kin");
}
function onKey(event, bar) {
  const bars = lanes[bar.service], near = (row) => bars.filter((other) => other.row === row)
    .sort((a, b) => Math.abs(a.from - bar.from) - Math.abs(b.from - bar.from))[0];
  const goal = {
    ArrowRight: bars[bar.index + 1], ArrowLeft: bars[bar.index - 1], ArrowDown: near(bar.row + 1), ArrowUp: near(bar.row - 1),
    Home: bars[0], End: bars.at(-1),
  };
  if (event.key === "Escape") held = false;
  if (event.key === "Enter" || event.key === " ") held = true;
  if (event.key in goal || event.key === " ") event.preventDefault();
  if (goal[event.key]) groups.get(goal[event.key]).focus();
}

function describe(bar) {
  const place = details;
  // Beside the lanes where there is room, and else below the one that it is about, so that it hides nothing.
  if (matchMedia("(max-width: 62rem)").matches) places.get(bar.service).append(place);
  place.replaceChildren();
  const record = bar.record === null ? null : run.records[bar.record];
  add(place, "h3", {}, bar.name);
  const ends = add(place, "div");
  for (const [end, n] of bar.ends) {
    toned(ends, end, bar.ends.length > 1 || n > 1 ? `${n.toLocaleString("en")} ${WORDS[end]}` : WORDS[end]);
    ends.append(" ");
  }
  if (record && record.why) add(place, "p", { class: "why" }, record.why);
  if (record && record.body) add(add(place, "p"), "code", {}, record.body);
  add(place, "p", {}, bar.origin);
  if (bar.requests > 1) {
    add(place, "p", {}, `${count(bar.requests, "request")} that followed each other are drawn as one, since there are so many: from ${time(bar.from)} to ${time(bar.to)}.`);
    return;
  }
  const list = add(place, "ol");
  for (const attempt of bar.attempts) describeAttempt(add(list, "li"), attempt, bar);
}

function describeAttempt(item, attempt, bar) {
  const took = attempt.answered - attempt.sent;
  item.append(`sent at ${time(attempt.sent)}: ${attempt.status === null ? "failed" : `HTTP ${attempt.status}`} after ${time(took)}`);
  const record = bar.record === null ? null : run.records[bar.record];
  if (attempt.why && !(record && attempt === bar.attempts.at(-1))) add(item, "p", { class: "why" }, attempt.why);
  const terms = add(item, "dl");
  const say = (term, words) => { add(terms, "dt", {}, term); add(terms, "dd", {}, words); };
  for (const { name, from, to } of attempt.parts) say(PARTS[name], time(to - from));
  if (attempt.parts.length) say("on the way", time(took - attempt.parts.reduce((sum, { from, to }) => sum + to - from, 0)));
  if (attempt.commit === null) return;
  const others = lanes[bar.service].filter((other) => other !== bar && other.commits.has(attempt.commit));
  const named = others.sort((a, b) => a.record - b.record).slice(0, 12).map((other) => other.name.replace(`${bar.service} `, ""));
  say("its number", attempt.commit);
  say("shared with", others.length ? named.join(", ") + (others.length > 12 ? " …" : "") : "no other");
}

// The rest of the page.
function drawHead() {
  byId("headline").textContent = `${count(run.sent, "record")} to ${count(SERVICES.filter((s) => run.summaries[s].sent).length, "service")} in ${time(run.elapsed_ms)}`;
  const verdict = byId("verdict");
  const undelivered = SERVICES.reduce((sum, service) => sum + run.summaries[service].undelivered, 0);
  const readBack = run.differences.length ? "Read back: NOT ALL IS AS IT WAS ACKNOWLEDGED." : "Read back: the services hold what they acknowledged.";
  verdict.textContent = `${readBack} ${undelivered ? `${count(undelivered, "record")} undelivered. ` : ""}${run.at}`;
  verdict.classList.toggle("wrong", !run.complete);
  for (const difference of run.differences) add(byId("differences"), "li", {}, difference);
}

function drawLegend() {
  const legend = byId("legend");
  for (const end of Object.keys(WORDS)) if (all.some((bar) => bar.ends.some(([e]) => e === end))) toned(add(legend, "li"), end);
  const timed = (name) => all.some((bar) => bar.attempts.some(({ parts }) => parts.some((part) => part.name === name)));
  const swatch = (name, words) => {
    const item = add(legend, "li");
    const svg = add(item, "svg", { width: 22, height: 12, "aria-hidden": "true", class: "neutral" });
    if (name !== "held") add(svg, "rect", { x: 0.5, y: 0.5, width: 21, height: 11, rx: 3, class: "way" });
    if (name === "way") { item.append(words); return; }
    if (name === "band") for (const at of [4, 18]) add(svg, "line", { x1: at, x2: at, y1: -2, y2: 14, class: "band-edge" });
    add(svg, "rect", { x: 4, y: name === "band" ? -2 : 0.5, width: 14, height: name === "band" ? 16 : 11, class: name });
    item.append(words);
  };
  swatch("held", "held at the start, its head sent");
  swatch("way", timed("commit") || timed("check") ? "on the way" : "from sent to answered");
  for (const [name, words] of Object.entries(PARTS)) if (timed(name)) swatch(name, words);
  if (timed("commit")) swatch("band", "transaction that several shared");
}

function drawSummary() {
  const table = byId("summary");
  const ends = Object.keys(WORDS).filter((end) => end !== "again");
  const head = add(add(table, "thead"), "tr");
  for (const name of ["service", "sent", ...ends, "stored", "peak in flight"]) add(head, "th", { scope: "col", class: name === "service" ? "" : "number" }, name);
  const body = add(table, "tbody");
  for (const service of SERVICES) {
    const row = add(body, "tr"), summary = run.summaries[service];
    add(row, "th", { scope: "row" }, service);
    for (const name of ["sent", ...ends, "stored", "peak_in_flight"]) {
      add(row, "td", { class: "number" }, summary[name] === null ? "?" : summary[name].toLocaleString("en"));
    }
  }
}

function drawLatencies() {
  const found = Object.entries(run.latencies);
  byId("latency-section").hidden = !found.length;
  const bins = found.flatMap(([, { bins }]) => bins);
  const low = Math.min(...bins.map((bin) => bin.from)), high = Math.max(...bins.map((bin) => bin.to));
  for (const [service, spread] of found) {
    const place = add(byId("latencies"), "div");
    add(place, "h3", {}, service);
    const words = `${count(spread.count, "answer")}: half within ${time(spread.median)}, 99 % within ${time(spread.p99)}, the longest ${time(spread.longest)}`;
    const [width, tall] = [320, 84], most = Math.max(...spread.bins.map((bin) => bin.count));
    const x = (ms) => (Math.log(ms / low) / Math.log(high / low)) * width;
    const svg = add(place, "svg", { viewBox: `0 0 ${width} ${tall + 18}`, width: "100%", role: "img", "aria-label": words });
    for (const bin of spread.bins) {
      const height = Math.max(2, (bin.count / most) * (tall - 14));
      const bar = add(svg, "rect", { class: "bin", x: x(bin.from) + 1, width: Math.max(1, x(bin.to) - x(bin.from) - 2), y: tall - height, height, rx: 2 });
      add(bar, "title", {}, `${time(bin.from)} to ${time(bin.to)}: ${bin.count}`);
      if (bin.count === most) add(svg, "text", { x: (x(bin.from) + x(bin.to)) / 2, y: tall - height - 4, "text-anchor": "middle" }, bin.count.toLocaleString("en"));
    }
    add(svg, "line", { x1: 0, x2: width, y1: tall, y2: tall, class: "grid" });
    add(svg, "text", { x: 0, y: tall + 13 }, time(low));
    add(svg, "text", { x: width, y: tall + 13, "text-anchor": "end" }, time(high));
    add(place, "p", {}, words);
  }
}

function drawRecords() {
  const table = byId("records");
  const columns = [["service", ""], ["id", "number"], ["outcome", ""], ["why", ""], ["status", "number minor"], ["attempts", "number minor"], ["ms", "number minor"], ["file", "minor"]];
  const head = add(add(table, "thead"), "tr");
  for (const [name, kind] of columns) add(head, "th", { scope: "col", class: kind }, name);
  const body = add(table, "tbody");
  const bars = new Map(all.filter((bar) => bar.record !== null).sort((a, b) => a.from - b.from).map((bar) => [bar.record, bar]));
  const rows = run.records.map((record, index) => {
    const row = add(body, "tr");
    add(row, "td", {}, record.service);
    const id = add(row, "td", { class: "number" }, bars.has(index) ? "" : record.id ?? "");
    if (bars.has(index)) {
      const words = record.id ?? "none";
      const button = add(id, "button", { class: "link", type: "button", "aria-label": `show ${record.service} ${words} in the picture` }, words);
      button.addEventListener("click", () => { held = true; groups.get(bars.get(index)).focus(); });
    }
    toned(add(row, "td"), record.outcome);
    for (const [text, kind] of [[record.why, "why"], [record.status ?? "", "number minor"], [record.attempts, "number minor"], [record.ms.toFixed(1), "number minor"], [record.origin, "minor"]]) add(row, "td", { class: kind }, text);
    const words = [record.service, record.id, record.outcome, record.status, record.why, record.origin, record.body].join(" ").toLowerCase();
    return [row, words];
  });
  const search = () => {
    const wanted = byId("search").value.toLowerCase().split(/\s+/);
    const shown = rows.filter(([row, words]) => !(row.hidden = !wanted.every((word) => words.includes(word)))).length;
    byId("found").textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  };
  byId("search").addEventListener("input", search);
  search();
  if (run.records_omitted) byId("omitted").textContent = `Not stored, and not listed here: ${count(run.records_omitted, "more record")}; --json lists them all.`;
  else if (!run.records.length || run.records.length < run.sent) byId("omitted").textContent = "Of so many records, those that were not stored are listed.";
}

drawHead();
drawLegend();
drawSummary();
drawLatencies();
drawRecords();
drawLanes();
add(details, "p", {}, all.length ? "Point at a bar, tap it, or reach it with Tab and the arrow keys: here is what became of it." : "Nothing was sent.");
let drawnFor = byId("lanes").clientWidth;
new ResizeObserver(() => {
  if (byId("lanes").clientWidth === drawnFor) return;
  drawnFor = byId("lanes").clientWidth;
  drawLanes();
}).observe(byId("lanes"));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") held = false; });
