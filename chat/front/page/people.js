// --------------------------------------------------------------------------------------------- people
// Who is here, and the bell.

class People {
  constructor(conversation) {
    this.conversation = conversation;
    this.panel = document.getElementById("people");
    this.list = this.panel.querySelector("ul");
    this.count = document.getElementById("count");
    this.here = new Map(); // by name: {name, away, since}
    this.spoke = []; // names, who spoke last first
    this.opener = document.getElementById("show-people");
    this.opener.addEventListener("click", () => this.toggle());
    this.panel.querySelector(".close").addEventListener("click", () => this.toggle(false));
    document.addEventListener("pointerdown", (event) => {
      if (this.panel.classList.contains("open") && !this.panel.contains(event.target) && !this.opener.contains(event.target)) this.toggle(false);
    });
    this.panel.addEventListener("keydown", (event) => event.key === "Escape" && this.toggle(false));
  }

  toggle(open = !this.panel.classList.contains("open")) {
    this.panel.classList.toggle("open", open);
    this.opener.setAttribute("aria-expanded", open);
    if (open) {
      this.fetch();
      this.panel.querySelector(".close").focus();
    } else this.opener.focus();
  }

  async fetch() {
    let people;
    try {
      people = await this.conversation.people();
    } catch {
      return; // the next time
    }
    this.here = new Map(people.map((person) => [person.name, person]));
    this.show();
  }

  hear(record) {
    const { kind, name, text } = record;
    if (kind === "message" || kind === "action" || kind === "/msg") {
      this.spoke = [name, ...this.spoke.filter((other) => other !== name)].slice(0, 50);
    }
    if (record.replayed) return;
    if (kind === "join") this.here.set(name, { name, since: record.time, away: null });
    else if (kind === "leave") this.here.delete(name);
    else if (kind === "rename") {
      const person = this.here.get(name);
      this.here.delete(name);
      this.here.set(text, { ...person, name: text });
    } else return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.show(), 100); // a crowd comes at once
  }

  names() {
    return [...this.spoke.filter((name) => this.here.has(name)), ...[...this.here.keys()].filter((name) => !this.spoke.includes(name)).sort()];
  }

  show() {
    const many = this.here.size;
    this.count.textContent = many ? ` · ${many} here` : "";
    const own = this.conversation.name;
    const shown = [...this.here.values()].sort((a, b) => (b.name === own) - (a.name === own) || a.name.localeCompare(b.name));
    this.list.replaceChildren(...shown.slice(0, 500).map((person) => this.item(person, own)));
    if (shown.length > 500) this.list.append(element("li", "rest", `and ${shown.length - 500} more`));
  }

  item({ name, away, since }, own) {
    const away_ = away === null || away === undefined ? "" : away ? `away: ${away}` : "away";
    const mine = name === own;
    const who = mine ? element("span", `name c-${colourOf(name)}`, element("bdi", "", name)) : nameButton(name);
    const initial = element("span", `initial c-${colourOf(name)}`, [...name][0].toUpperCase());
    initial.setAttribute("aria-hidden", "true");
    const item = element("li", away_ ? "away" : "", initial, who, element("span", "about", mine ? "you" : away_));
    if (since) item.title = `since ${new Date(since).toLocaleString()}`;
    return item;
  }
}

/** Counts what came while nobody looked, in the title; rings, where one has chosen that. */
class Bell {
  constructor(conversation, title) {
    this.conversation = conversation;
    this.title = title;
    this.missed = 0;
    this.button = document.getElementById("bell");
    this.on = read("bell") === "on";
    this.show();
    this.button.addEventListener("click", () => this.toggle());
  }

  show() {
    this.button.setAttribute("aria-pressed", this.on);
    document.title = this.missed ? `(${this.missed}) ${this.title}` : this.title;
  }

  toggle() {
    this.on = !this.on;
    write("bell", this.on ? "on" : "off");
    this.show();
    if (!this.on) return;
    this.sound(); // a browser lets a page make sounds only after a touch
    // Over plain HTTP a browser has no notifications, save on localhost.
    if (window.isSecureContext && "Notification" in window && Notification.permission === "default") Notification.requestPermission();
  }

  seen() {
    this.missed = 0;
    this.show();
  }

  hear(records) {
    if (document.hasFocus() && !document.hidden) return;
    this.missed += records.length;
    this.show();
    if (!this.on) return;
    const { name, text } = records[records.length - 1];
    if (window.isSecureContext && "Notification" in window && Notification.permission === "granted") {
      const note = new Notification(name, { body: text.slice(0, 200), tag: "chat" });
      note.onclick = () => { window.focus(); note.close(); };
    } else this.sound();
  }

  sound() {
    const Audio = window.AudioContext || window.webkitAudioContext;
    if (!Audio) return;
    this.audio = this.audio || new Audio();
    this.audio.resume();
    const now = this.audio.currentTime;
    const volume = this.audio.createGain();
    volume.gain.setValueAtTime(0.08, now);
    volume.gain.exponentialRampToValueAtTime(0.0001, now + 0.4);
    volume.connect(this.audio.destination);
    const tone = this.audio.createOscillator();
    tone.frequency.setValueAtTime(880, now);
    tone.frequency.setValueAtTime(1175, now + 0.09);
    tone.connect(volume);
    tone.start(now);
    tone.stop(now + 0.4);
  }
}

// What is remembered from one visit to the next: the name used last, and the bell.

/** The same for all tabs of a browser: so many streams at once, and the others poll. */
function browserId() {
  const id = read("browser") || Math.random().toString(36).slice(2);
  write("browser", id);
  return id;
}

// The secret that makes a name yours is made here, sent when you register, and kept by this browser only.

function newSecret() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The secrets of a name: the newest first, and one before it as long as nobody knows which one holds. */
function secretsOf(name) {
  return read("secret of " + nameKey(name)).split("\n");
}

function keepSecrets(name, secrets) {
  write("secret of " + nameKey(name), secrets.filter(Boolean).slice(0, 2).join("\n"));
}

function read(key) {
  try {
    return localStorage.getItem(key) || "";
  } catch {
    return "";
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch { /* forbidden */ }
}

// What outlives a reload of this tab.

function kept(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

function keep(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch { /* full, or forbidden: then a reload begins anew */ }
}
