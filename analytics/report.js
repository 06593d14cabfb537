// The page's own script: pictures that answer, a choice of days that all of them follow, pages of people.
// It draws from the numbers in the page alone; all text goes in as text.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("numbers").textContent);
  const { steps, people, bins, answers } = data;
  const last = steps.length - 1;
  const chosen = { from: 0, to: last };
  const shownTables = [];
  const pictures = [];
  const zone = (() => {
    try { new Intl.DateTimeFormat("en", { timeZone: data.zone }); return data.zone; } catch { return "UTC"; }
  })();
  const format = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options });
  const dayFormat = format({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
  const timeFormat = format({ weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const tickFormats = [
    [2 * 864e5, format({ hour: "2-digit", minute: "2-digit" })],
    [300 * 864e5, format({ day: "numeric", month: "short" })],
    [Infinity, format({ month: "short", year: "numeric" })],
  ];
  const isoDay = format({ year: "numeric", month: "2-digit", day: "2-digit" });
  const weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
  const number = (value, digits = 0) => value.toLocaleString("en", { maximumFractionDigits: digits });
  const counted = (value, thing) => `${number(value)} ${thing}${value === 1 ? "" : "s"}`;
  const span = (seconds) => {
    const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const found = [];
    for (const [unit, size] of parts) {
      const many = Math.floor(seconds / size);
      seconds -= many * size;
      if (many || found.length) found.push(many ? `${many} ${unit}` : "");
    }
    return found.slice(0, 2).filter(Boolean).join(" ") || "0 s";
  };
  const dayOf = (time) => { // as <input type=date> has it
    const parts = Object.fromEntries(isoDay.formatToParts(time).map((part) => [part.type, part.value]));
    return `${parts.year}-${parts.month}-${parts.day}`;
  };
  const sum = (pairs, from = chosen.from, to = chosen.to) => {
    let total = 0;
    for (let i = 0; i < pairs.length; i += 2) if (pairs[i] >= from && pairs[i] < to) total += pairs[i + 1];
    return total;
  };
  const stepLength = steps[1] - steps[0] > 5e6 ? (steps[1] - steps[0] > 9e7 ? "stretch" : "day") : "hour";
  const stepName = (i) => (stepLength === "hour" ? timeFormat : dayFormat).format(steps[i]);
  const start = () => steps[chosen.from];
  const end = () => steps[chosen.to];

  const make = (tag, attributes = {}, ...children) => {
    const drawn = /^(svg|g|rect|path|line|circle|text|title)$/.test(tag);
    const element = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "on") for (const [event, does] of Object.entries(value)) element.addEventListener(event, does);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };
  const shortened = (text, most) => {
    const letters = [...text];
    return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : text;
  };

  // ---------------------------------------------------------------------------------------- what is pointed at

  const tip = document.getElementById("tip");
  const tell = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y > box.height + 20 ? y - box.height - 12 : y + 16}px`;
  };
  const untell = () => { tip.hidden = true; };

  // A picture is drawn into its <figure>, over the one without script. `draw` returns what there is under a
  // place: at(x, y) -> {text, x, y, mark}, and how many there are for the arrow keys: size, get(number).
  const picture = (name, label, draw) => {
    const figure = document.querySelector(`figure[data-picture="${name}"]`);
    if (!figure) return;
    const still = figure.querySelector("svg");
    const holder = make("div", { class: "live", tabindex: "0", role: "img" });
    still.replaceWith(holder);
    const said = figure.querySelector("figcaption");
    const again = () => {
      const width = Math.max(260, holder.clientWidth || 700);
      const shown = draw(width);
      holder.replaceChildren(shown.svg);
      holder.setAttribute("aria-label", label());
      if (said) said.textContent = label();
      holder.shown = shown;
      holder.place = -1;
      const table = figure.querySelector("details.data");
      if (table && table.open) fill(table, shown);
    };
    const point = (event) => {
      const box = holder.getBoundingClientRect();
      const scale = holder.shown.width / box.width;
      const found = holder.shown.at((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
      if (!found) return untell();
      tell(found.text, event.clientX, event.clientY);
      mark(holder, found);
    };
    holder.addEventListener("pointermove", point);
    holder.addEventListener("pointerdown", point);
    holder.addEventListener("pointerleave", () => { untell(); mark(holder); });
    holder.addEventListener("blur", () => { untell(); mark(holder); });
    holder.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 }[event.key];
      if (!step || !holder.shown.size) return;
      event.preventDefault();
      holder.place = Math.max(0, Math.min(holder.place + step, holder.shown.size - 1));
      const found = holder.shown.get(holder.place);
      const box = holder.getBoundingClientRect();
      tell(found.text, box.left + found.x * box.width / holder.shown.width, box.top + 20);
      mark(holder, found);
    });
    const details = figure.querySelector("details.data");
    if (details) details.addEventListener("toggle", () => { if (details.open) fill(details, holder.shown); });
    pictures.push(again);
  };
  const mark = (holder, found) => {
    holder.querySelectorAll(".mark").forEach((old) => old.remove());
    if (found && found.mark) holder.firstChild.append(found.mark());
  };
  const fill = (details, shown) => {
    const rows = [];
    for (let i = 0; i < Math.min(shown.size, 500); i++) rows.push(shown.row(i));
    const body = rows.map((row) => make("tr", {}, ...row.map((cell, i) => make("td", i ? { class: "n" } : {}, cell))));
    const head = make("thead", {}, make("tr", {}, ...shown.columns.map((each, i) => make("th", { scope: "col", ...(i ? { class: "n" } : {}) }, each))));
    const holder = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Numbers of the picture: ${details.closest("figure").dataset.picture}` },
      make("table", {}, head, make("tbody", {}, ...body)));
    details.querySelectorAll("div, p").forEach((old) => old.remove());
    details.append(holder);
    if (shown.size > 500) details.append(make("p", { class: "muted" }, `and ${number(shown.size - 500)} more; choose fewer days`));
  };

  // --------------------------------------------------------------------------------------------------- drawing

  const nice = (most) => {
    const step = 10 ** Math.floor(Math.log10(Math.max(most, 1) / 4));
    return [1, 2, 5, 10].map((each) => each * step).find((each) => most / each <= 5) || step;
  };
  const frame = (width, height, most) => {
    const left = 44, bottom = 22, top = 8;
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const y = (value) => height - bottom - (height - bottom - top) * value / Math.max(most, 1e-9);
    const step = Math.max(nice(most), most < 1 ? most : 1);
    for (let value = 0; value <= most + 1e-9; value += step) {
      svg.append(make("line", { x1: left, x2: width, y1: y(value), y2: y(value), class: "grid" }));
      svg.append(make("text", { x: left - 6, y: y(value) + 4, class: "tick right" }, number(value, 1)));
    }
    return { svg, left, y, bottom: height - bottom };
  };
  const timeAxis = (svg, x, from, to, width, height) => {
    const many = Math.max(2, Math.floor(width / 120));
    const shape = tickFormats.find(([most]) => to - from < most)[1];
    let before = "";
    for (let i = 0; i < many; i++) {
      const time = from + (to - from) * (i + 0.5) / many, label = shape.format(time);
      if (label !== before) svg.append(make("text", { x: x(time), y: height - 6, class: "tick middle" }, label));
      before = label;
    }
  };

  // Bars or steps over time. `points` are [time, until, value, text].
  const overTime = (width, points, columns, height = 220) => {
    const most = points.reduce((found, point) => Math.max(found, point[2]), 0);
    const { svg, left, y, bottom } = frame(width, height, most);
    const from = start(), to = end();
    const x = (time) => left + (width - left) * (time - from) / Math.max(to - from, 1);
    let path = "";
    for (const [time, until, value] of points) {
      if (!value) continue;
      const right = Math.max(x(Math.min(until, to)), x(time) + 1);
      path += `M${x(Math.max(time, from)).toFixed(1)} ${bottom}V${y(value).toFixed(1)}H${right.toFixed(1)}V${bottom}Z`;
    }
    svg.append(make("path", { d: path, class: "bar" }));
    timeAxis(svg, x, from, to, width - left, height);
    const get = (i) => {
      const [time, until, value, text] = points[i];
      const centre = (x(Math.max(time, from)) + x(Math.min(until, to))) / 2;
      return { text, x: centre, mark: () => make("g", { class: "mark" },
        make("line", { x1: centre, x2: centre, y1: 0, y2: bottom, class: "cross" }),
        make("circle", { cx: centre, cy: y(value), r: 4, class: "dot" })) };
    };
    const at = (place) => {
      const time = from + (place - left) / (width - left) * (to - from);
      let low = 0, high = points.length - 1;
      while (low < high) { const middle = (low + high + 1) >> 1; if (points[middle][0] <= time) low = middle; else high = middle - 1; }
      return points.length ? get(low) : null;
    };
    return { svg, width, at, get, size: points.length, columns, row: (i) => [points[i][3].split(": ")[0], number(points[i][2])] };
  };
  const thinned = (from, to, most, value, text) => { // bins of which several are one column: as high as the busiest
    const step = Math.max(1, Math.ceil((to - from) / most));
    const found = [];
    for (let i = from; i < to; i += step) {
      let best = i;
      for (let j = i; j < Math.min(i + step, to); j++) if (value(j) > value(best)) best = j;
      found.push([...text(best, i, Math.min(i + step, to))]);
    }
    return found;
  };
  const cells = (width, rows, columns, value, text, wide = 44, tall = 24, slanted = false, widest = Infinity) => {
    const size = Math.min((width - wide) / columns.length, widest);
    const height = rows.length * tall + (slanted ? 70 : 22);
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    let most = 0;
    rows.forEach((_, r) => columns.forEach((_, c) => { most = Math.max(most, value(r, c) || 0); }));
    const box = (r, c) => ({ x: wide + c * size + 1, y: r * tall + 1, width: Math.max(size - 2, 1), height: tall - 2, rx: 2 });
    rows.forEach((name, r) => {
      svg.append(make("text", { x: wide - 6, y: r * tall + tall / 2 + 4, class: "label right" }, shortened(name, wide / 8)));
      columns.forEach((_, c) => {
        const part = (value(r, c) || 0) / (most || 1);
        svg.append(make("rect", { ...box(r, c), class: part ? "cell" : "none", "fill-opacity": part ? 0.15 + 0.85 * part : 1 }));
      });
    });
    columns.forEach((name, c) => {
      const x = wide + (c + 0.5) * size, y = rows.length * tall + 14;
      if (slanted) svg.append(make("text", { x, y, class: "label right", transform: `rotate(-40 ${x} ${y})` }, shortened(name, 10)));
      else if (name) svg.append(make("text", { x, y: y + 2, class: "tick middle" }, name));
    });
    const get = (i) => {
      const r = Math.floor(i / columns.length), c = i % columns.length;
      return { text: text(r, c), x: wide + (c + 0.5) * size, mark: () => make("rect", { ...box(r, c), class: "mark ring" }) };
    };
    const at = (x, y) => {
      const c = Math.floor((x - wide) / size), r = Math.floor(y / tall);
      return r >= 0 && r < rows.length && c >= 0 && c < columns.length ? get(r * columns.length + c) : null;
    };
    return { svg, width, at, get, size: rows.length * columns.length, columns: ["what", "number"],
      row: (i) => { const [what, many] = text(Math.floor(i / columns.length), i % columns.length).split(": "); return [what, many]; } };
  };
  const bars = (width, items, thing) => { // [name, number]
    const tall = 26, wide = Math.min(170, width * 0.36);
    const most = items.reduce((found, item) => Math.max(found, item[1]), 1);
    const svg = make("svg", { viewBox: `0 0 ${width} ${Math.max(items.length, 1) * tall}`, "aria-hidden": "true" });
    const long = (value) => (width - wide - 76) * value / most;
    items.forEach(([name, value], i) => {
      svg.append(make("text", { x: wide - 8, y: i * tall + 17, class: "label right" }, shortened(name, wide / 8)));
      svg.append(make("rect", { x: wide, y: i * tall + 4, width: Math.max(long(value), 1), height: tall - 8, rx: 3, class: "bar" }));
      svg.append(make("text", { x: wide + long(value) + 6, y: i * tall + 17, class: "tick" }, number(value)));
    });
    const get = (i) => ({ text: `${items[i][0]}: ${counted(items[i][1], thing)}`, x: wide + long(items[i][1]),
      mark: () => make("rect", { x: wide, y: i * tall + 4, width: Math.max(long(items[i][1]), 1), height: tall - 8, rx: 3, class: "mark ring" }) });
    return { svg, width, get, at: (x, y) => { const i = Math.floor(y / tall); return i >= 0 && i < items.length ? get(i) : null; },
      size: items.length, columns: ["what", `${thing}s`], row: (i) => [items[i][0], number(items[i][1])] };
  };

  // -------------------------------------------------------------------------------------------- the pictures

  const whole = () => chosen.from === 0 && chosen.to === last;
  const period = () => whole() ? "" : ` from ${dayFormat.format(start())} to ${dayFormat.format(end() - 1)}`;
  const total = (from = chosen.from, to = chosen.to) => data.total.slice(from, to).reduce((a, b) => a + b, 0);
  const presence = new Map(data.connected);
  const connected = (name, from, to) => sum(presence.get(name) ?? [], from, to);
  const ranked = (from = chosen.from, to = chosen.to) => people.map((person) => [person.name, sum(person.messages, from, to), person]).filter((each) => each[1]).sort((a, b) => b[1] - a[1]);

  const binRange = () => [
    Math.max(0, Math.floor((start() - bins.start) / bins.width)),
    Math.min(bins.counts.length, Math.ceil((end() - bins.start) / bins.width)),
  ];
  const countedBins = (width) => {
    const [from, to] = binRange();
    const time = (i) => bins.start + i * bins.width;
    const when = (i) => (bins.per === "day" ? dayFormat : timeFormat).format(time(i));
    return thinned(from, to, Math.floor(width / 2), (i) => bins.counts[i],
      (best, a, b) => [time(a), time(b), bins.counts[best], `${when(best)}: ${counted(bins.counts[best], "message")} in the ${bins.per}`]);
  };
  picture("messages", () => {
    const [from, to] = binRange();
    let most = from;
    for (let i = from; i < to; i++) if (bins.counts[i] > bins.counts[most]) most = i;
    const when = (bins.per === "day" ? dayFormat : timeFormat).format(bins.start + most * bins.width);
    return `${counted(total(), "message")}${period()}; the busiest ${bins.per} has ${number(bins.counts[most] || 0)} (${when}).`;
  }, (width) => overTime(width, countedBins(width - 44), ["time", "messages"]));

  picture("steps", () => `Messages in each ${stepLength}${period()}: at most ${number(Math.max(...data.total.slice(chosen.from, chosen.to)))}.`,
    (width) => overTime(width, data.total.map((many, i) => [steps[i], steps[i + 1], many, `${stepName(i)}: ${counted(many, "message")}`])
      .slice(chosen.from, chosen.to), [stepLength, "messages"], 150));

  picture("online", () => {
    const [, numbers] = data.online;
    return numbers.length ? `How many were connected${period()}.` : "Nobody was connected.";
  }, (width) => {
    const [times, numbers] = data.online;
    const points = [];
    times.forEach((time, i) => {
      const until = i + 1 < times.length ? times[i + 1] : Math.max(end(), time);
      if (until > start() && time < end()) points.push([time, until, numbers[i], `${timeFormat.format(Math.max(time, start()))}: ${number(numbers[i])} connected`]);
    });
    return overTime(width, points, ["from", "connected"], 170);
  });

  const active = () => {
    const found = new Array(last).fill(0);
    for (const person of people) for (let i = 0; i < person.messages.length; i += 2) found[person.messages[i]]++;
    return found;
  };
  const activity = active();
  picture("active", () => `How many people said something in each ${stepLength}${period()}.`, (width) => overTime(width,
    activity.map((many, i) => [steps[i], steps[i + 1], many, `${stepName(i)}: ${many === 1 ? "1 person" : `${number(many)} people`}`])
      .slice(chosen.from, chosen.to), [stepLength, "people"], 150));

  const rhythm = () => {
    const found = new Array(168).fill(0), days = new Array(7).fill(0);
    for (let i = 0; i < data.rhythm.length; i += 2) {
      const step = Math.floor(data.rhythm[i] / 168);
      if (step >= chosen.from && step < chosen.to) found[data.rhythm[i] % 168] += data.rhythm[i + 1];
    }
    const seen = new Set();
    for (let time = start(); time < end(); time += 36e5) seen.add(dayOf(time));
    for (const day of seen) days[(new Date(`${day}T12:00Z`).getUTCDay() + 6) % 7]++;
    return found.map((value, i) => days[Math.floor(i / 24)] ? value / days[Math.floor(i / 24)] : NaN);
  };
  picture("rhythm", () => {
    const table = rhythm();
    let most = 0;
    table.forEach((value, i) => { if (value > (table[most] || 0)) most = i; });
    return `Most is said on ${weekdays[Math.floor(most / 24)]} from ${most % 24}:00 to ${most % 24 + 1}:00, ${number(table[most] || 0, 1)} messages on average${period()}.`;
  }, (width) => {
    const table = rhythm();
    const hours = [...Array(24).keys()].map((hour) => hour % (width < 500 ? 6 : 3) ? "" : `${hour}:00`);
    return cells(width, weekdays, hours, (r, c) => table[r * 24 + c],
      (r, c) => `${weekdays[r]} ${c}:00 to ${c + 1}:00: ${Number.isNaN(table[r * 24 + c]) ? "no such day" : `${number(table[r * 24 + c], 1)} on average`}`);
  });

  picture("calendar", () => `A week a column: the stronger a day's colour, the more was said${period()}.`, (width) => {
    const monday = (i) => Date.parse(`${dayOf(steps[i])}T00:00Z`) / 864e5 + 3; // days from a Monday on
    const first = Math.floor(monday(chosen.from) / 7);
    const table = new Map();
    for (let i = chosen.from; i < chosen.to; i++) table.set((monday(i) % 7) + "," + (Math.floor(monday(i) / 7) - first), i);
    const weeks = Math.floor(monday(chosen.to - 1) / 7) - first + 1;
    const every = Math.ceil(50 * weeks / (width - 44)); // labels that have room side by side
    const columns = [...Array(weeks).keys()].map((week) => {
      const days = [...Array(7).keys()].map((day) => table.get(`${day},${week}`)).filter((each) => each !== undefined);
      if (weeks <= 12) return week % every ? "" : format({ day: "numeric", month: "short" }).format(steps[days[0]]);
      const at = days.find((each) => format({ day: "numeric" }).format(steps[each]) === "1");
      return at === undefined ? "" : format({ month: "short" }).format(steps[at]);
    });
    return cells(width, weekdays, columns, (r, c) => data.total[table.get(`${r},${c}`)],
      (r, c) => { const i = table.get(`${r},${c}`); return i === undefined ? `${weekdays[r]}: not chosen` : `${stepName(i)}: ${counted(data.total[i], "message")}`; }, 44, 24, false, 56);
  });

  picture("people", () => {
    const first = ranked()[0];
    return first ? `${first[0]} said most, ${counted(first[1], "message")}${period()}.` : `Nothing was said${period()}.`;
  }, (width) => bars(width, ranked().slice(0, 15), "message"));

  picture("answers", () => `Who answers (rows) whom (columns)${period()}: the stronger the colour, the more often.`, (width) => {
    const { names, size } = answers;
    const table = new Array(size * size).fill(0);
    for (let i = 0; i < answers.cells.length; i += 2) {
      const step = Math.floor(answers.cells[i] / (size * size));
      if (step >= chosen.from && step < chosen.to) table[answers.cells[i] % (size * size)] += answers.cells[i + 1];
    }
    return cells(width, names, names, (r, c) => table[r * size + c],
      (r, c) => `${names[r]} answered ${names[c]}: ${table[r * size + c] === 1 ? "once" : `${number(table[r * size + c])} times`}`, 110, 28, true, 90);
  });
  for (const figure of document.querySelectorAll("figure[data-bars]")) {
    const items = JSON.parse(figure.dataset.bars);
    picture(figure.dataset.picture, () => figure.dataset.caption, (width) => bars(width, items, figure.dataset.thing));
  }

  // ---------------------------------------------------------------------------------------------- the tables

  const link = (name) => people.some((person) => person.name === name) ? make("a", { href: `#person=${encodeURIComponent(name)}` }, shortened(name, 40)) : name;
  const follow = (id, rows) => {
    const table = document.getElementById(id);
    if (!table) return;
    const update = () => {
      table.tBodies[0].replaceChildren(...rows().map((row) => make("tr", {}, ...row.map(([value, shown], i) =>
        make(i ? "td" : "th", { ...(i ? (typeof value === "number" ? { class: "n" } : {}) : { scope: "row" }), "data-value": value }, shown)))));
      if (table.sorted) table.sorted();
      if (table.filtered) table.filtered();
    };
    shownTables.push(update);
  };
  follow("by-person", () => {
    const all = total() || 1;
    return ranked().map(([name, many, person]) => {
      const words = sum(person.words);
      return [[name, link(name)], [many, number(many)], [many / all, `${(100 * many / all).toFixed(1)}%`], [words, number(words)],
        [words / many, (words / many).toFixed(1)], [connected(name), presence.has(name) ? span(connected(name)) : "–"], [person.days, number(person.days)],
        [person.streak, number(person.streak)], [person.opened, number(person.opened)], [person.closed, number(person.closed)]];
    });
  });
  follow("time-connected", () => data.connected.map(([name, pairs]) => [name, sum(pairs)]).filter((each) => each[1])
    .sort((a, b) => b[1] - a[1]).slice(0, 15).map(([name, seconds]) => [[name, link(name)], [seconds, span(seconds)]]));
  follow("conversations", () => data.conversations.filter(([from, to]) => to >= start() && from < end())
    .sort((a, b) => b[2] - a[2]).slice(0, 15).map(([from, to, messages, many, starter]) =>
      [[from, timeFormat.format(from)], [to - from, span((to - from) / 1000)], [messages, number(messages)], [many, number(many)], [starter, link(starter)]]));

  for (const table of document.querySelectorAll("table.sortable")) {
    let column = -1, down = true;
    const value = (row) => { const cell = row.cells[column]; const raw = cell.dataset.value ?? cell.textContent; return cell.classList.contains("n") ? Number(raw.replace(/[^\d.eE+-]/g, "")) : raw; };
    table.sorted = () => {
      if (column < 0) return;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        return (typeof x === "number" ? x - y : x.localeCompare(y)) * (down ? -1 : 1);
      });
      table.tBodies[0].append(...rows);
    };
    [...table.tHead.rows[0].cells].forEach((head, i) => {
      const button = make("button", { type: "button", on: { click: () => {
        down = column === i ? !down : head.classList.contains("n");
        column = i;
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        table.sorted();
      } } }, ...head.childNodes);
      head.replaceChildren(button);
    });
  }
  const filter = document.getElementById("filter");
  const byPerson = document.getElementById("by-person");
  if (filter && byPerson) {
    filter.closest(".filter").hidden = false;
    byPerson.filtered = () => {
      const wanted = filter.value.trim().toLowerCase();
      [...byPerson.tBodies[0].rows].forEach((row, i) => {
        const name = row.cells[0].dataset.value.toLowerCase();
        row.hidden = wanted ? !name.includes(wanted) : i >= 25;
      });
    };
    filter.addEventListener("input", byPerson.filtered);
  }

  // ------------------------------------------------------------------------------------- the choice of days

  const bar = document.getElementById("choice");
  const from = document.getElementById("from"), to = document.getElementById("to"), brush = document.getElementById("brush");
  const stepAt = (time) => { let found = 0; while (found < last && steps[found + 1] <= time) found++; return found; };
  const update = () => {
    from.value = dayOf(start());
    to.value = dayOf(end() - 1);
    pictures.forEach((again) => again());
    shownTables.forEach((again) => again());
    drawBrush();
    document.getElementById("chosen").textContent = `${counted(total(), "message")}${period() || " in all"}`;
    document.body.classList.toggle("part", !whole());
  };
  // The part of the address behind # is a section or a person, and the days chosen: what is loaded again, or
  // sent to somebody, shows the same. Days up to the end have none, and go on with the chat.
  const parts = () => location.hash.slice(1).split("&").filter(Boolean);
  const remember = () => {
    const day = (time) => new Date(time).toISOString().slice(0, 16);
    const days = whole() ? [] : [`days=${day(start())}..${chosen.to === last ? "" : day(end())}`];
    const now = [...parts().filter((each) => !each.startsWith("days=")), ...days].join("&");
    try { history.replaceState(null, "", now ? `#${now}` : location.pathname + location.search); } catch { /* the browser forbids it to this file */ }
  };
  const recall = () => {
    const days = /^days=([^.]+)\.\.(.*)$/.exec(parts().find((each) => each.startsWith("days=")) ?? "");
    if (!days) return false;
    const [from, to] = [Date.parse(`${days[1]}Z`), days[2] ? Date.parse(`${days[2]}Z`) : Infinity];
    if (Number.isNaN(from) || Number.isNaN(to)) return false;
    choose(stepAt(from), to > steps[last] ? last : stepAt(to - 1) + 1, false);
    return true;
  };
  const choose = (first, after, settled = true) => {
    chosen.from = Math.max(0, Math.min(first, last - 1));
    chosen.to = Math.min(last, Math.max(after, chosen.from + 1));
    update();
    if (settled) remember();
  };
  const stepOfDay = (day, after) => {
    const found = steps.findIndex((time, i) => i < last && dayOf(time) >= day);
    const exact = found < 0 ? last : found;
    if (!after) return exact > 0 && (found < 0 || dayOf(steps[exact]) > day) ? exact - 1 : exact;
    const next = steps.findIndex((time, i) => i < last && dayOf(time) > day);
    return next < 0 ? last : next;
  };
  from.addEventListener("change", () => from.value && choose(stepOfDay(from.value, false), Math.max(chosen.to, stepOfDay(from.value, false) + 1)));
  to.addEventListener("change", () => to.value && choose(Math.min(chosen.from, stepOfDay(to.value, true) - 1), stepOfDay(to.value, true)));
  for (const button of bar.querySelectorAll("button[data-days]")) {
    const days = Number(button.dataset.days);
    button.addEventListener("click", () => days ? choose(stepAt(steps[last] - days * 864e5), last) : choose(0, last));
    if (days && steps[last] - steps[0] <= days * 864e5) button.hidden = true;
  }
  const drawBrush = () => {
    const width = Math.max(260, brush.clientWidth), height = 44;
    const most = Math.max(...data.total, 1);
    const x = (step) => width * (steps[step] - steps[0]) / (steps[last] - steps[0]);
    let path = "";
    data.total.forEach((many, i) => { if (many) path += `M${x(i).toFixed(1)} ${height}V${(height - 2 - (height - 6) * many / most).toFixed(1)}H${Math.max(x(i + 1), x(i) + 1).toFixed(1)}V${height}Z`; });
    brush.replaceChildren(make("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      make("path", { d: path, class: "bar" }),
      make("rect", { x: 0, y: 0, width: x(chosen.from), height, class: "veil" }),
      make("rect", { x: x(chosen.to), y: 0, width: width - x(chosen.to), height, class: "veil" }),
      make("rect", { x: x(chosen.from), y: 0.5, width: Math.max(x(chosen.to) - x(chosen.from), 1), height: height - 1, class: "window" })));
  };
  let grabbed = -1;
  const stepUnder = (event) => {
    const box = brush.getBoundingClientRect();
    return stepAt(steps[0] + Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * (steps[last] - steps[0] - 1));
  };
  brush.addEventListener("pointerdown", (event) => { grabbed = stepUnder(event); brush.setPointerCapture(event.pointerId); choose(grabbed, grabbed + 1, false); });
  brush.addEventListener("pointermove", (event) => {
    const step = stepUnder(event);
    if (grabbed >= 0) choose(Math.min(grabbed, step), Math.max(grabbed, step) + 1, false);
    else tell(`${stepName(step)}: ${counted(data.total[step], "message")}`, event.clientX, event.clientY);
  });
  brush.addEventListener("pointerup", () => { grabbed = -1; remember(); });
  brush.addEventListener("pointerleave", untell);
  brush.addEventListener("dblclick", () => choose(0, last));

  // --------------------------------------------------------------------------------------- a page per person

  const pageOf = document.getElementById("person");
  const fact = (label, value, note = "") => make("div", {}, make("dt", {}, label), make("dd", {}, value), ...(note ? [make("dd", {}, note)] : []));
  const listOf = (title, rows) => rows.length ? make("div", {}, make("h3", {}, title), make("table", {}, make("tbody", {}, ...rows.map(([name, many]) =>
    make("tr", {}, make("th", { scope: "row" }, link(name)), make("td", { class: "n" }, number(many))))))) : "";
  const route = () => {
    const wanted = parts().find((each) => each.startsWith("person="));
    const person = wanted && people.find((each) => encodeURIComponent(each.name) === wanted.slice(7));
    document.body.classList.toggle("one", Boolean(person));
    pageOf.hidden = !person;
    if (!person) return;
    const messages = sum(person.messages, 0, last), words = sum(person.words, 0, last);
    const everybody = ranked(0, last);
    const where = everybody.findIndex((each) => each[2] === person) + 1;
    const hour = person.hours.indexOf(Math.max(...person.hours));
    const width = Math.max(260, Math.min(880, document.querySelector("main").clientWidth - 40));
    const points = [];
    for (let i = 0; i < person.messages.length; i += 2) points.push([steps[person.messages[i]], steps[person.messages[i] + 1], person.messages[i + 1], ""]);
    const saved = { ...chosen };
    Object.assign(chosen, { from: 0, to: last });
    const drawn = overTime(width, points, [], 150).svg;
    Object.assign(chosen, saved);
    const hours = person.hours.map((many, i) => [`${i}:00`, many]);
    pageOf.replaceChildren(
      make("p", {}, make("a", { href: "#top" }, "← everybody")),
      make("h1", { tabindex: "-1" }, person.name),
      ...(person.names.length ? [make("p", { class: "muted" }, `also as ${person.names.join(", ")}`)] : []),
      make("dl", { class: "facts" },
        fact("Messages", number(messages), `${where ? `number ${where} of ${number(everybody.length)}, ` : ""}${(100 * messages / Math.max(total(0, last), 1)).toFixed(1)}% of all`),
        fact("Words a message", (words / messages).toFixed(1), counted(person.letters, "letter")),
        fact("Connected", presence.has(person.name) ? span(connected(person.name, 0, last)) : "–"),
        fact("Days", number(person.days), `longest streak ${counted(person.streak, "day")}`),
        fact("First word of the day", person.opened === 1 ? "once" : `${number(person.opened)} times`, `the last one ${person.closed === 1 ? "once" : `${number(person.closed)} times`}`),
        fact("Favourite hour", `${hour}:00`),
        fact("First and last", dayFormat.format(person.first), dayFormat.format(person.last))),
      make("h2", {}, "Messages over time"), drawn,
      make("h2", {}, "Hours of the day"), bars(width, hours.filter((each) => each[1]), "message").svg,
      make("div", { class: "lists" }, listOf("Answers most", person.answers), listOf("Is answered most by", person.answered)));
    scrollTo(0, 0);
    pageOf.querySelector("h1").focus();
  };
  addEventListener("hashchange", () => { if (!recall()) remember(); route(); });
  addEventListener("resize", () => { update(); });
  const again = document.querySelector('meta[name="again"]'); // of a page that is served while the chat goes on
  if (again) setTimeout(() => location.reload(), 1000 * again.content);

  document.documentElement.classList.add("scripted");
  bar.hidden = false;
  if (recall()) document.getElementById(parts()[0])?.scrollIntoView();
  else update();
  route();
})();
