// -------------------------------------------------------------------------------------- conversation
// One person's side of the conversation, over as many connections as it takes. It touches no element.
//
// Down comes a stream of events, whose ids are places in the history; up go lines with numbers. A line is
// kept until its own record has come back: that is how one knows that it is stored.

const RETRY_MS = [500, 1000, 2000, 4000, 8000]; // between tries to join anew; the last one for ever
const SILENCE_MS = 40000; // the server gives a sign of life every 15 s
const HIDDEN_MS = 5000; // after that long a phone may have dropped the connection without a word
const REQUEST_MS = 15000;
const SLOW_MS = 3000; // to be let in: servers that can't agree let nobody in
const PRIVATE_MOST = 100; // private messages that outlive a reload: they are in no history
const REPLAY = 60; // records to begin with: a screen and a half
// Ends that are meant; all others are breaks. The text of a leave record.
const MEANT = /^(exit|kicked by .*|banned|expelled)$/;
// What the replay shows if it was done; after a server was lost, other lines are not sent again by themselves.
const SENT_AGAIN = ["message", "action", "rename"];
const HISTORY_ANSWERS = { me: "action", nick: "rename", clear: "clear", exit: "leave", quit: "leave", kick: "notice", mute: "notice", unmute: "notice", ban: "notice", unban: "notice" };
const CANONICAL = { who: "users", names: "users", r: "msg", reply: "msg" };

/** The record that a line is answered by if nothing goes wrong: its kind and, where it is known, its text. */
function answerTo(line) {
  if (/^ *(clear|exit) *$/.test(line)) line = "/" + line.trim();
  if (line.startsWith("//")) return { kind: "message", text: line.slice(1) };
  if (line[0] !== "/") return { kind: "message", text: line };
  const [, word, argument] = /^\/(\S*) ?(.*)$/.exec(line);
  const command = word.toLowerCase();
  const text = argument.replace(/^ +| +$/g, "");
  if (command === "say") return { kind: "message", text };
  if (command === "me") return { kind: "action", text };
  if (command === "msg" || command === "reply" || command === "r") return { kind: "/msg", text };
  if (command === "unregister") return { kind: "/unregister", own: !text };
  return { kind: HISTORY_ANSWERS[command] || "/" + (CANONICAL[command] || command) };
}

// What the server says where a name is somebody's, and the secret is missing or wrong.
const NOT_THE_SECRET = /\/identify/;

function withoutSecret(line) {
  return line.replace(/^(\/(register|identify|admin)) .*/i, "$1 …");
}

class Conversation {
  /** `owner` hears: records(list), changed(), left(why), refused(why), unsure(lines), emptied(), told(sentence). */
  constructor(owner) {
    this.owner = owner;
    this.state = "out"; // out, connecting, connected
    this.name = this.password = this.secret = this.token = "";
    this.place = ""; // where in the history we are: an event's id
    this.shown = { name: "", address: "" }; // as whom our records show us
    this.renamed = ""; // a name taken shortly before a break
    this.lines = []; // not answered yet, oldest first: {text, answer, number, sent}
    this.next = 0; // the number of the next line
    this.commands = [];
    this.private = []; // records, each with the place in the history `at` which it came
    this.end = null; // while what comes is a replay: where it ends; own records in it answer lines
    this.stillThere = true;
    this.lastAnswer = "";
    this.tries = this.paused = this.refusals = 0;
    this.posting = null; // the request on its way, to be given up
    this.heard = 0; // when something came last
    setInterval(() => this.watch(), 5000);
  }

  // ----- what is kept over a reload

  save() {
    const { name, password, token, place, shown, renamed, next, end, stillThere, commands } = this;
    const lines = this.lines.map(({ text, number, unsure, everSent }) => ({ text, number, unsure, everSent }));
    keep("conversation", { name, password, token, place, shown, renamed, next, end, stillThere, commands, lines });
  }

  /** Take up what a page before this one in the same tab has left. Whether there is something. */
  restore() {
    const before = kept("conversation");
    if (!before || !before.token) return false;
    Object.assign(this, before, { private: kept("private") || [] });
    for (const line of this.lines) line.answer = answerTo(line.text);
    return true;
  }

  /** Keep these private messages, and no others. */
  keepPrivate(records) {
    this.private = records.slice(-PRIVATE_MOST);
    keep("private", this.private.map(({ time, address, name, kind, text, mine, at }) => ({ time, address, name, kind, text, mine, at, direct: true, replayed: true })));
  }

  forget() {
    Object.assign(this, { token: "", place: "", lines: [], next: 0, end: null, shown: { name: "", address: "" }, renamed: "" });
    keep("conversation", null);
    this.keepPrivate([]);
  }

  // ----- coming in

  /** Join as somebody new, under a name of one's own with its secret. Resolves to "" or a sentence that says why not. */
  async join(name, password, secret) {
    Object.assign(this, { name, password, secret });
    return this.enter();
  }

  async enter() {
    clearTimeout(this.retry);
    this.entering = true;
    this.setState("connecting");
    const slow = setTimeout(() => this.owner.changed("The server has not let you in yet. Wait a little."), SLOW_MS);
    let answer, secret;
    try {
      const session = this.token && this.place ? `${this.token} ${this.place.split(" ", 2).join(" ")}` : "";
      for (secret of this.secret ? [this.secret] : secretsOf(this.name)) {
        answer = await this.request("POST", "/join", { name: this.name, password: this.password, replay: REPLAY, session, browser: browserId(), secret });
        if (answer.status !== 403 || !NOT_THE_SECRET.test(answer.body.error)) break;
      }
    } catch {
      return this.later();
    } finally {
      clearTimeout(slow);
      this.entering = false;
    }
    if (answer.status >= 500 || answer.status === 429) return this.later(answer.body.error);
    if (answer.status !== 200) {
      this.setState("out");
      return answer.body.error || "The server did not let you in.";
    }
    const { session, name, address, start, end, resumed, commands } = answer.body;
    if (!resumed) {
      this.owner.emptied();
      this.doubt(this.lines);
      this.place = "";
      this.keepPrivate([]);
    }
    if (secret) keepSecrets(name, [secret]);
    if (this.secret) this.owner.told(`This browser keeps the secret of ${name} from now on.`);
    this.secret = "";
    Object.assign(this, { name, token: session, start, end, commands, stillThere: true, tries: 0, next: 0, address });
    if (!this.shown.name) this.shown = { name, address };
    for (const line of this.lines) line.number = null;
    this.save();
    this.open();
    return "";
  }

  /** Nothing answers, or not now: try again in a while, for ever. */
  later(why = "") {
    this.owner.changed(why);
    if (!this.token) {
      this.setState("out");
      return why || "The server can’t be reached. Are you on its network?";
    }
    clearTimeout(this.retry);
    const wait = RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)];
    this.retry = setTimeout(() => this.again(), wait * (0.75 + Math.random() / 2));
    this.setState("connecting");
    return "";
  }

  async again() {
    const why = await this.enter();
    if (why) this.owner.refused(why);
  }

  // ----- the stream

  open() {
    if (this.source) this.source.close();
    if (this.posting) this.posting.abort(); // it may be on a connection gone bad
    clearTimeout(this.retry);
    this.setState("connecting");
    this.heard = Date.now();
    const at = encodeURIComponent(this.place);
    const source = new EventSource(`/events?session=${encodeURIComponent(this.token)}&at=${at}`);
    this.source = source;
    source.addEventListener("session", (event) => this.began(JSON.parse(event.data)));
    source.addEventListener("life", () => { this.heard = Date.now(); });
    source.addEventListener("pause", () => { this.paused = Date.now(); });
    source.addEventListener("elsewhere", () => this.leaveTo("This conversation went on in another tab."));
    source.onmessage = (event) => this.hear(event);
    source.onerror = () => {
      if (this.source !== source) return;
      if (source.readyState === EventSource.CLOSED) this.refusedStream();
      else if (Date.now() - this.paused > 1000) this.setState("connecting"); // the browser is at it
    };
  }

  /** Once that may be a connection gone bad; twice, and the server does not know us any more: join anew. */
  refusedStream() {
    this.setState("connecting");
    if (this.refusals++) this.later();
    else this.retry = setTimeout(() => this.open(), 100);
  }

  /** The stream stands; what the server has taken of our lines it need not get again. */
  began({ number }) {
    this.heard = Date.now();
    this.tries = this.paused = this.refusals = 0;
    for (const line of this.lines) line.sent = line.number !== null && line.number < number;
    this.next = Math.max(this.next, number);
    this.setState("connected");
    this.post();
  }

  /** Look whether the stream is alive; phones drop connections without an error. */
  watch() {
    if (this.state === "out" || this.entering) return;
    if (this.source && this.source.readyState !== EventSource.CLOSED && Date.now() - this.heard > SILENCE_MS) this.open();
  }

  /** The page is seen again, or the network is back: better a new stream than a dead one. */
  woken(hiddenMs) {
    if (this.state === "out" || this.entering) return;
    if (!this.source || this.source.readyState === EventSource.CLOSED) {
      this.tries = 0;
      this.again();
    } else if (hiddenMs > HIDDEN_MS || this.state !== "connected") this.open();
  }

  // ----- what comes

  hear(event) {
    this.heard = Date.now();
    this.setState("connected");
    const records = [];
    for (const line of event.data.split("\n")) {
      const record = parseRecord(line);
      if (!record) continue;
      record.size = bytes(line) + 1;
      records.push(record);
    }
    this.placeRecords(records, event.lastEventId);
    this.place = event.lastEventId;
    const shown = records.filter((record) => this.take(record));
    this.save();
    if (shown.length) this.owner.records(shown);
    this.post();
  }

  /** Give each record the place after it, and those of the history their start; the batch ends at the event's id. */
  placeRecords(records, place) {
    let end = parseInt(place, 10);
    for (const record of records.slice().reverse()) {
      record.at = end;
      if (record.direct) continue;
      record.start = record.kind === "clear" ? 0 : end - record.size;
      end = record.kind === "clear" ? 0 : record.start; // before it there was another file
    }
  }

  /** Take a record for what it says about us and our lines. Whether it is to be shown. */
  take(record) {
    if (record.direct) return this.takeDirect(record);
    const replayed = this.end !== null;
    if (replayed && record.kind === "clear") this.end = 0;
    if (record.kind === "clear") this.keepPrivate([]); // their places were in another file
    if (replayed && record.kind === "join" && record.name === this.name && record.at > this.end) {
      this.shown = { name: record.name, address: record.address };
      record.mine = true;
      this.joined();
      return true;
    }
    record.mine = this.isMine(record);
    record.replayed = replayed;
    if (replayed && (record.kind === "start" || (record.mine && record.kind === "leave"))) this.stillThere = false;
    else if (record.mine && (!replayed || this.stillThere)) this.strike(record);
    if (record.mine && record.kind === "rename") {
      this.shown.name = record.text;
      if (!replayed) this.name = record.text;
      else if (this.stillThere) this.renamed = record.text;
    }
    if (record.mine && record.kind === "leave" && !replayed) {
      if (MEANT.test(record.text)) this.leaveTo(record.text === "exit" ? "" : `You were ${record.text}.`);
    }
    return true;
  }

  isMine(record) {
    if (record.kind === "notice") return record.address === "-" && record.text.startsWith(this.shown.name + " ");
    return record.name === this.shown.name && record.address === this.shown.address;
  }

  /** A direct record answers the oldest line in flight, or goes on with the answer before. */
  takeDirect(record) {
    if (["/session", "/servers", "/hello"].includes(record.kind)) return false;
    if (record.kind === "/kept") { // no lines, but a sign that they have arrived: else they come again
      this.request("POST", "/lines", { number: this.next, lines: [] }).catch(() => {});
      return true;
    }
    record.mine = record.kind === "/msg" && record.name === this.shown.name && /^to \S+: /.test(record.text);
    if (record.kind === "/msg") this.keepPrivate([...this.private, record]);
    if (record.kind === "/msg" && !record.mine) return true;
    const oldest = this.lines.find((line) => line.number !== null && !line.unsure);
    const kind = oldest ? oldest.answer.kind : "";
    const more = this.lastAnswer === record.kind && kind !== record.kind;
    if (oldest && (record.kind === "/error" || (kind[0] === "/" && !more))) {
      this.lines.splice(this.lines.indexOf(oldest), 1);
      if (record.kind === "/error") record.about = withoutSecret(oldest.text);
      const [first, ...others] = secretsOf(this.shown.name);
      if (kind === "/register") keepSecrets(this.shown.name, record.kind === kind ? [first] : others);
      if (record.kind === "/register") record.text += " This browser keeps the secret; /secret shows it for another device.";
      if (record.kind === "/unregister" && oldest.answer.own) keepSecrets(this.shown.name, []);
      this.lastAnswer = record.kind;
    }
    return true;
  }

  /** Our record answers a line. Those before it were handled too; of a command the answer was lost. */
  strike(record) {
    const answers = ({ answer }) => answer.kind === record.kind && (answer.text === undefined || clean(answer.text) === record.text);
    const index = this.lines.findIndex((line) => !line.unsure && answers(line));
    if (index < 0) return;
    this.doubt(this.lines.slice(0, index).filter((line) => !line.unsure));
    this.lines.splice(this.lines.findIndex((line) => !line.unsure && answers(line)), 1);
  }

  /** Our own join has come: what the replay did not show is sent again, or told where that could do it twice. */
  joined() {
    this.end = null;
    if (this.renamed && this.renamed !== this.name) {
      this.lines.unshift({ text: `/nick ${this.renamed}`, answer: answerTo(`/nick ${this.renamed}`), number: null });
    }
    this.renamed = "";
    this.doubt(this.lines.filter((line) => !line.unsure && line.everSent && !SENT_AGAIN.includes(line.answer.kind)));
    this.post();
  }

  /** Nobody can say what became of these: people are asked about messages, and told about commands. */
  doubt(lines) {
    for (const line of lines) line.unsure = line.everSent === true;
    const commands = lines.filter((line) => line.unsure && line.answer.kind[0] === "/" && line.answer.kind !== "/msg");
    this.lines = this.lines.filter((line) => !commands.includes(line));
    if (commands.length) this.owner.unsure(commands.map((line) => withoutSecret(line.text)));
  }

  /** Where in the history what we have seen begins, as long as we have seen no record. */
  startPlace() {
    return this.place ? parseInt(this.place, 10) : this.start;
  }

  // ----- what goes

  /** Say a line; it is on its way until its record has come. */
  say(text) {
    const name = this.shown.name;
    if (/^\/secret *$/i.test(text)) {
      const [secret] = secretsOf(name);
      this.owner.told(secret ? `The secret of ${name}, to type on your other device: ${secret}` : `This browser has no secret for ${name}; /register makes one.`);
      return;
    }
    if (/^\/register *$/i.test(text)) text = "/register " + newSecret();
    // Kept before it is sent: if the answer is lost, one of the two is the secret.
    if (/^\/register /i.test(text)) keepSecrets(name, [text.replace(/^\S+ +/, "").trim(), ...secretsOf(name)]);
    this.lines.push({ text, answer: answerTo(text), number: null, sent: false });
    this.save();
    this.owner.changed();
    this.post();
  }

  sayAgain(line) {
    this.lines.splice(this.lines.indexOf(line), 1);
    this.say(line.text);
  }

  dropLine(line) {
    this.lines.splice(this.lines.indexOf(line), 1);
    this.save();
    this.owner.changed();
  }

  /** Send what has not been sent, one request at a time, so that the order holds. */
  async post() {
    if (this.posting || this.state !== "connected" || this.end !== null) return;
    const batch = this.lines.filter((line) => !line.sent && !line.unsure).slice(0, 50);
    if (!batch.length) return;
    const posting = this.posting = new AbortController();
    const token = this.token;
    for (const line of batch) {
      if (line.number === null) line.number = this.next++;
      line.everSent = true;
    }
    this.save();
    let answer = null;
    try {
      answer = await this.request("POST", "/lines", { number: batch[0].number, lines: batch.map((line) => line.text) }, posting);
    } catch { /* it goes again */ }
    this.posting = null;
    if (token !== this.token || this.state === "out") return;
    if (answer && answer.status === 200) {
      for (const line of batch) line.sent = true;
      this.save();
      this.post();
    } else if (answer && (answer.status === 404 || answer.status === 409)) {
      this.open(); // the stream's beginning tells how things stand
    } else {
      setTimeout(() => this.post(), 1000);
    }
  }

  leave() {
    if (this.state === "connected") this.say("/exit");
    else this.leaveTo("");
  }

  leaveTo(why) {
    if (this.source) this.source.close();
    clearTimeout(this.retry);
    this.source = null;
    this.forget();
    this.setState("out");
    this.owner.left(why);
  }

  // ----- questions

  /** The records before a place, oldest first. */
  async older(before, records) {
    const { status, body } = await this.request("GET", `/history?before=${before}&records=${records}`);
    if (status !== 200) throw new Error(body.error);
    const found = [];
    for (const [start, line] of body.records) {
      const record = parseRecord(line);
      if (record) found.push(Object.assign(record, { start, at: start + bytes(line) + 1, mine: this.isMine(record), replayed: true }));
    }
    return found;
  }

  async people() {
    const { status, body } = await this.request("GET", "/people");
    if (status !== 200) throw new Error(body.error);
    return body.people;
  }

  async request(method, path, body, abort = new AbortController()) {
    const timer = setTimeout(() => abort.abort(), REQUEST_MS);
    try {
      const response = await fetch(path, {
        method,
        headers: { "Chat-Session": this.token || "new", ...(body ? { "Content-Type": "application/json" } : {}) },
        body: body && JSON.stringify(body),
        signal: abort.signal,
        cache: "no-store",
      });
      return { status: response.status, body: await response.json().catch(() => ({})) };
    } finally {
      clearTimeout(timer);
    }
  }

  setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.owner.changed();
  }
}
