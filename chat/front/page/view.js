// ----------------------------------------------------------------------------------------------- view
// Records as lines of the log. Everything is made of elements and text nodes; nothing is ever parsed as HTML.

const MOST_LINES = 640; // that are elements of the page at once: with each more, all that changes takes longer
const KEPT_LINES = 400;
const MOST_NEW = 2000; // while one reads above; those beyond are dropped, but for the newest
const PAGE_LINES = 80; // that come when one scrolls
const SLICE = 60; // records shown at once, so that a flood does not freeze the page
const NEAR = 48; // pixels from the bottom that still count as being there
const GROUP_MS = 300000; // what one person says within five minutes stands together
const FOLDED = ["join", "leave", "rename"];
const LINK = /\bhttps?:\/\/[^\s<>"]+[^\s<>"'.,;:!?)\]}’”]/gi;

function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** Text with its links, and with our own name marked. */
function richText(text, ownName) {
  const parts = [];
  let last = 0;
  for (const match of text.matchAll(LINK)) {
    parts.push(text.slice(last, match.index));
    const link = element("a", "", match[0]);
    link.href = match[0];
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    parts.push(link);
    last = match.index + match[0].length;
  }
  parts.push(text.slice(last));
  return parts;
}

function nameButton(name, className = "name") {
  const button = element("button", `${className} c-${colourOf(name)}`, element("bdi", "", name));
  button.type = "button";
  button.dataset.name = name;
  button.title = `Write to ${name} in private`;
  return button;
}

/** The lines: `above` | those in the page | `below`. Older than `above` are fetched when one scrolls there. */
class Log {
  constructor(conversation) {
    this.conversation = conversation;
    this.scroller = document.getElementById("scroller");
    this.log = document.getElementById("log");
    this.pill = document.getElementById("new");
    this.atBottom = true;
    this.unread = 0; // below what one reads
    this.above = []; // elements
    this.below = []; // elements, and then records that came while one read further up
    this.gap = Infinity; // how many of these come before some that were dropped
    this.queue = [];
    this.loading = false;
    this.pending = new Map(); // lines that are not stored yet, and their elements
    this.scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.pill.addEventListener("click", () => this.toBottom(true));
    new ResizeObserver(() => this.atBottom && this.toBottom()).observe(this.log);
    new ResizeObserver(() => this.atBottom && this.toBottom()).observe(this.scroller);
  }

  empty() {
    this.forget();
    this.log.textContent = "";
    this.queue = [];
    this.pending.clear();
    this.setUnread(0);
    this.atBottom = true;
  }

  /** Forget the lines that are stored. */
  forget() {
    this.drop([...this.above, ...this.stored(), ...this.below]);
    this.above = [];
    this.below = [];
    this.gap = Infinity;
  }

  /** Drop lines; what is private comes again with the history around it. */
  drop(lines) {
    for (const { record } of lines) if (record) record.inLog = false;
    for (const line of lines) if (line.tagName) line.remove();
  }

  /** Those in the page. */
  stored() {
    return Array.from(this.log.children).filter((line) => !line.pending);
  }

  // ----- new records

  /** Show records below the others; a flood in slices, and of a very long one only the end. */
  show(records) {
    this.queue.push(...records);
    if (this.queue.length > MOST_LINES && this.atBottom) {
      this.queue.splice(0, this.queue.length - KEPT_LINES);
      this.forget();
    }
    if (!this.showing) this.showSlice();
  }

  showSlice() {
    this.showing = true;
    const slice = this.queue.splice(0, SLICE);
    const stay = this.atBottom;
    for (const record of slice) this.add(record);
    this.showPending();
    if (stay) {
      this.trim();
      this.toBottom();
    } else {
      this.setUnread(this.unread + slice.filter((record) => this.counts(record)).length);
    }
    if (this.queue.length) setTimeout(() => this.showSlice());
    else this.showing = false;
    this.fill();
  }

  counts(record) {
    return !record.mine && !record.replayed && ["message", "action", "notice", "/msg"].includes(record.kind);
  }

  add(record) {
    if (record.kind === "clear") this.forget();
    if (this.below.length || (!this.atBottom && this.log.childElementCount >= MOST_LINES)) this.wait(record);
    else this.append([record]);
  }

  wait(record) {
    this.below.push(record);
    const made = this.below.findIndex((line) => !line.tagName);
    if (this.below.length - made < 2 * MOST_NEW) return;
    this.gap = Math.min(this.gap, made + MOST_NEW);
    this.drop(this.below.splice(this.gap, this.below.length - this.gap - PAGE_LINES));
  }

  /** A sentence of the page's own. */
  note(sentence, about, kind = "/error") {
    const time = new Date().toISOString();
    this.show([{ time, name: "", address: "-", kind, text: sentence, about, direct: true }]);
  }

  /** Put records, or elements that were made before, below those in the page. */
  append(lines) {
    let first = null;
    for (let line = this.log.lastElementChild; line && line.pending; line = line.previousElementSibling) first = line;
    for (const line of lines) {
      const last = first ? first.previousElementSibling : this.log.lastElementChild;
      for (const made of line.tagName ? [line] : this.lines([line], last)) this.log.insertBefore(made, first);
    }
  }

  /** The elements for records that follow an element, which takes in what is folded into it. */
  lines(records, last) {
    const made = [];
    for (const record of records) {
      const day = dayOf(record.time);
      if (!last || last.day !== day) {
        last = element("div", "day", element("span", "", dayName(day)));
        Object.assign(last, { day, start: record.start });
        made.push(last);
      }
      if (FOLDED.includes(record.kind) && last.folded) {
        last.folded.push(record);
        fold(last);
        continue;
      }
      const line = this.line(record, last);
      record.inLog = true;
      Object.assign(line, { day, record, start: record.direct ? undefined : record.start });
      made.push(line);
      last = line;
    }
    return made;
  }

  line(record, last) {
    if (FOLDED.includes(record.kind)) {
      const line = element("div", "line event");
      line.folded = [record];
      fold(line);
      return line;
    }
    const { kind, name, text } = record;
    if (kind === "message" || kind === "/msg") return this.bubble(record, last);
    if (kind === "action") {
      const line = element("div", "line action", nameButton(name), " ", element("span", "text", ...richText(text)), stamp(record));
      this.markMention(line, record);
      return line;
    }
    if (kind === "notice") return element("div", "line notice", element("strong", "", name === "server" ? "" : `${name}: `), ...richText(text), stamp(record));
    if (kind === "clear") return element("div", "line event", `${name} began a new history. ${text}`);
    if (kind === "start") return element("div", "line event", "The server started.");
    if (kind === "stop") return element("div", "line event", "The server stopped.");
    if (kind === "/error") return element("div", "line error", ...richText(text), record.about ? element("q", "", record.about) : "");
    if (record.direct) {
      const more = last && last.record && last.record.kind === kind && last.record.time === record.time;
      return element("div", `line answer${more ? " more" : ""}`, ...richText(localTimes(text)));
    }
    return element("div", "line event", `${name} did ${kind}: ${text}`);
  }

  bubble(record, last) {
    const { kind, mine } = record;
    const secret = kind === "/msg";
    const [, to, said] = (secret && mine && /^to (\S+): (.*)$/s.exec(record.text)) || [null, "", record.text];
    const line = element("div", `line bubble${mine ? " mine" : ""}${secret ? " secret" : ""}`);
    const previous = last && last.record;
    const grouped = previous && previous.kind === kind && previous.name === record.name && previous.address === record.address &&
      (!secret || last.to === to) && new Date(record.time) - new Date(previous.time) < GROUP_MS;
    if (grouped) line.classList.add("more");
    line.to = to;
    const head = element("div", "head");
    if (mine && secret) head.append("You to ", nameButton(to), ", in private");
    else if (mine) head.append(element("span", "", "You"));
    else head.append(nameButton(record.name), secret ? " to you, in private" : "");
    const body = element("div", "body");
    const words = element("span", "text", ...richText(said));
    words.dir = "auto";
    if (grouped || (mine && !secret)) head.classList.add("hidden");
    body.append(head, words, stamp(record));
    line.append(body);
    this.markMention(line, record);
    return line;
  }

  markMention(line, record) {
    if (!record.mine && record.kind !== "/msg" && mentions(record.text, this.conversation.name)) line.classList.add("mention");
  }

  // ----- what is not stored yet

  showPending() {
    const waiting = this.conversation.lines.filter(({ answer }) => ["message", "action", "/msg"].includes(answer.kind));
    for (const [line, shown] of this.pending) {
      if (waiting.includes(line) && shown.unsure === !!line.unsure) continue;
      shown.remove();
      this.pending.delete(line);
    }
    for (const line of waiting) {
      if (this.pending.has(line)) continue;
      const shown = this.pendingLine(line);
      shown.pending = true;
      shown.unsure = !!line.unsure;
      this.pending.set(line, shown);
      this.log.append(shown);
    }
  }

  pendingLine(line) {
    let text = line.answer.text === undefined ? line.text : line.answer.text;
    if (/^\/msg /i.test(line.text)) text = text.replace(/^\S+ +/, ""); // without whom it is to
    const words = element("span", "text", ...richText(text));
    words.dir = "auto";
    const shown = element("div", "line bubble mine pending", element("div", "body", words));
    if (line.answer.kind === "/msg") shown.classList.add("secret");
    if (!line.unsure) {
      shown.firstChild.append(element("span", "time", element("span", "hidden", "not stored yet"), "…"));
      return shown;
    }
    const again = element("button", "quiet", "Send again");
    const drop = element("button", "quiet", "Drop");
    again.addEventListener("click", () => this.conversation.sayAgain(line));
    drop.addEventListener("click", () => this.conversation.dropLine(line));
    shown.firstChild.append(element("div", "unsure", "Nobody knows whether this was stored. ", again, " ", drop));
    return shown;
  }

  // ----- older records, and back

  oldest() {
    for (const line of [...this.above, ...this.log.children]) if (line.start !== undefined) return line.start;
    return this.conversation.startPlace();
  }

  /** Bring lines when one comes near the end of those in the page. */
  async fill() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    if (this.loading || this.showing) return;
    if (this.below.length && scrollHeight - scrollTop < 2 * clientHeight) {
      const next = this.below.splice(0, Math.min(PAGE_LINES, this.gap));
      this.gap -= next.length;
      if (next.length) this.slide(() => this.append(next));
      else if (scrollHeight - scrollTop - clientHeight < NEAR) this.toBottom();
    }
    if (scrollTop > clientHeight) return;
    if (this.above.length) return this.slide(() => this.log.prepend(...this.above.splice(-PAGE_LINES)), true);
    const before = this.oldest();
    if (!before || before === this.beginning || this.conversation.state !== "connected") return;
    this.loading = true;
    this.log.setAttribute("aria-busy", "true");
    try {
      const records = await this.conversation.older(before, PAGE_LINES);
      if (!records.length) this.beginning = before;
      else if (this.oldest() === before) this.slide(() => this.prepend(records, before), true);
      this.loading = false;
      if (records.length) requestAnimationFrame(() => this.fill());
    } catch {
      setTimeout(() => { this.loading = false; }, 2000);
    } finally {
      this.log.removeAttribute("aria-busy");
    }
  }

  /** Put the records before a place above the others, and among them what was private there. */
  prepend(records, before) {
    const secret = this.conversation.private.filter(({ at, inLog }) => !inLog && at > records[0].start && at <= before);
    const all = [...records, ...secret].sort((a, b) => a.at - b.at);
    const made = this.lines(all, null);
    const first = this.log.firstElementChild;
    if (first && first.className === "day" && first.day === made[made.length - 1].day) first.remove();
    this.log.prepend(...made);
  }

  /** Add lines at one end, and put as many away at the other, without a jump. */
  slide(add, upwards = false) {
    const anchor = this.firstVisible();
    const top = anchor && anchor.getBoundingClientRect().top;
    add();
    const lines = this.stored();
    const many = this.atBottom ? 0 : Math.max(0, lines.length - MOST_LINES);
    const away = upwards ? lines.slice(lines.length - many) : lines.slice(0, many);
    for (const line of away) line.remove();
    if (upwards) {
      this.below.unshift(...away);
      this.gap += away.length;
    } else this.above.push(...away);
    if (this.atBottom) this.toBottom();
    else if (anchor && anchor.isConnected) this.scroller.scrollTop += anchor.getBoundingClientRect().top - top;
  }

  firstVisible() {
    const top = this.scroller.getBoundingClientRect().top;
    for (const line of this.log.children) if (line.className !== "day" && line.getBoundingClientRect().bottom > top) return line;
    return null;
  }

  /** Forget lines far above while one reads at the bottom. */
  trim() {
    const lines = this.stored();
    if (lines.length <= MOST_LINES) return;
    this.drop([...this.above, ...lines.slice(0, lines.length - KEPT_LINES)]);
    this.above = [];
    const first = this.log.firstElementChild;
    if (first.className !== "day" && first.day) {
      const line = element("div", "day", element("span", "", dayName(first.day)));
      Object.assign(line, { day: first.day, start: this.oldest() });
      this.log.prepend(line);
    }
  }

  // ----- scrolling

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.atBottom = !this.below.length && scrollHeight - clientHeight - scrollTop < NEAR;
    if (this.atBottom && this.unread) this.setUnread(0);
    this.fill();
  }

  toBottom(smoothly = false) {
    const far = this.below.slice(-PAGE_LINES);
    if (far.length) {
      this.forget();
      this.append(far);
    }
    const still = !smoothly || far.length || matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.scroller.scrollTo({ top: this.scroller.scrollHeight, behavior: still ? "auto" : "smooth" });
    if (smoothly) this.scroller.focus({ preventScroll: true });
  }

  setUnread(many) {
    this.unread = many;
    this.pill.hidden = !many;
    this.pill.textContent = many ? `${many} new` : "";
  }
}

function stamp(record) {
  const time = element("time", "time", clock(record.time));
  time.dateTime = record.time;
  time.title = new Date(record.time).toLocaleString();
  return time;
}

function leaving(why) {
  if (why === "connection lost") return "lost the connection";
  return /^(kicked|banned)/.test(why) ? `was ${why}` : "left";
}

/** Who came, left and took another name, as one line: the last thing that each of them did. */
function fold(line) {
  const doings = new Map();
  for (const { kind, name, text } of line.folded) {
    if (kind === "rename") {
      const before = doings.get(name);
      doings.delete(name);
      doings.set(text, { what: "renamed", was: before && before.what === "renamed" ? before.was : name });
    } else {
      const before = doings.get(name);
      doings.delete(name);
      const back = kind === "join" && before && before.what !== "joined" && before.what !== "renamed";
      const passing = kind === "leave" && before && before.what === "joined";
      doings.set(name, { what: back ? "is back" : passing ? "looked in" : kind === "join" ? "joined" : leaving(text) });
    }
  }
  const groups = new Map();
  for (const [name, { what, was }] of doings) {
    const said = what === "renamed" ? `${was} is now ${name}` : what;
    if (!groups.has(said)) groups.set(said, []);
    groups.get(said).push(name);
  }
  const sentences = [];
  for (const [said, names] of groups) {
    const shown = names.length > 4 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
    const listed = shown.length > 1 ? `${shown.slice(0, -1).join(", ")} and ${shown[shown.length - 1]}` : shown[0];
    sentences.push(said.includes(" is now ") ? said : `${listed} ${names.length > 1 ? said.replace("is back", "are back") : said}`);
  }
  line.textContent = sentences.join(" · ");
  const last = line.folded[line.folded.length - 1];
  line.title = line.folded.map((r) => `${clock(r.time)} ${r.name} ${r.kind} ${r.text}`).slice(-20).join("\n");
  line.append(stamp(last));
}
