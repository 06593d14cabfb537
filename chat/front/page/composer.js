// ------------------------------------------------------------------------------------------- composer
// Where one types: Enter sends, Shift-Enter makes another line, which is a message of its own.

const OFFERS = 8; // completions shown at once

class Composer {
  constructor(conversation, people) {
    this.conversation = conversation;
    this.people = people;
    this.form = document.getElementById("composer");
    this.text = document.getElementById("text");
    this.offers = document.getElementById("offers");
    this.hint = document.getElementById("hint");
    this.chip = document.getElementById("private");
    this.to = ""; // whom one writes to in private
    this.sent = []; // lines sent from here, for the arrow keys
    this.back = 0;
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    this.text.addEventListener("input", () => this.edited());
    this.text.addEventListener("keydown", (event) => this.key(event));
    this.text.addEventListener("paste", (event) => this.pasted(event));
    this.chip.lastElementChild.addEventListener("click", () => { this.setPrivate(""); this.text.focus(); });
    this.form.addEventListener("pointerdown", (event) => { // a touch keeps the keyboard open
      if (event.target.closest("button")) event.preventDefault();
    });
  }

  restore() {
    const { text, to } = kept("draft") || {};
    this.text.value = text || "";
    this.setPrivate(to || "");
  }

  edited() {
    this.text.style.setProperty("height", "auto");
    this.text.style.setProperty("height", `${this.text.scrollHeight}px`);
    this.hint.textContent = "";
    if (!this.text.value) this.verbatim = false;
    this.offer();
    keep("draft", { text: this.text.value, to: this.to });
  }

  setPrivate(name) {
    this.to = name;
    this.chip.hidden = !name;
    this.chip.firstElementChild.textContent = name && `To ${name}, in private`;
    this.text.placeholder = name ? `Only ${name} will see it` : "Message";
    this.form.classList.toggle("in-private", !!name);
    this.edited();
  }

  writeTo(name) {
    if (name === this.conversation.name) return;
    this.setPrivate(name);
    this.text.focus();
  }

  // ----- sending

  send() {
    const typed = this.text.value.split(/\r?\n/).map((line) => clean(line.replace(/\t/g, " "))).filter((line) => line.trim());
    if (!typed.length) return;
    // A single line may be a command. What is pasted, and each of several lines, is text: said and never done.
    const plain = this.verbatim || typed.length > 1;
    const lines = typed.map((line) => (this.to ? this.privately(line, plain) : plain ? verbatim(line) : line));
    const long = typed.find((line) => bytes(line) > TEXT_BYTES - 64 * !!this.to);
    if (long) {
      this.hint.textContent = `That is too long for one message: ${bytes(long)} bytes of ${TEXT_BYTES}. Split it with Shift-Enter.`;
      return;
    }
    this.text.value = "";
    this.sent.push(...typed);
    this.back = 0;
    this.edited();
    for (const line of lines) this.conversation.say(line);
    this.onsent();
  }

  privately(line, plain) {
    const command = !plain && /^\/[a-z]+( |$)/i.test(line) && !line.startsWith("//");
    return command ? line : `/msg ${this.to} ${plain ? line : line.replace(/^\/\//, "/")}`;
  }

  pasted(event) {
    const text = (event.clipboardData && event.clipboardData.getData("text")) || "";
    if (/[\r\n]/.test(text) && (!this.text.value || this.text.selectionStart === 0)) this.verbatim = true;
  }

  key(event) {
    if (event.isComposing || event.keyCode === 229) return; // an input method is at work
    const { key, shiftKey, altKey, ctrlKey, metaKey } = event;
    if (key === "Enter" && !shiftKey && !altKey) {
      event.preventDefault();
      this.send();
    } else if (key === "Tab" && !shiftKey && !altKey && !ctrlKey && !metaKey && this.complete()) {
      event.preventDefault();
    } else if (key === "Escape") {
      if (!this.offers.hidden) this.hideOffers();
      else if (this.to) this.setPrivate("");
    } else if ((key === "ArrowUp" || key === "ArrowDown") && !shiftKey) this.recall(event, key === "ArrowUp" ? 1 : -1);
    else if (key === "PageUp" || key === "PageDown") {
      event.preventDefault();
      const scroller = document.getElementById("scroller");
      scroller.scrollBy({ top: (key === "PageUp" ? -0.8 : 0.8) * scroller.clientHeight });
    }
  }

  /** The arrow keys bring back what was sent, where one has not begun to type. */
  recall(event, step) {
    if (this.text.value && this.text.value !== this.sent[this.sent.length - this.back]) return;
    if (this.back + step < 0 || this.back + step > this.sent.length) return;
    event.preventDefault();
    this.back += step;
    this.text.value = this.back ? this.sent[this.sent.length - this.back] : "";
    this.edited();
  }

  // ----- completing

  /** What the word before the cursor can become. */
  completions() {
    const before = this.text.value.slice(0, this.text.selectionStart);
    const word = before.slice(before.search(/\S*$/));
    const first = word === before;
    if (first && word[0] === "/") {
      const commands = this.conversation.commands.filter(([name]) => `/${name}`.startsWith(word.toLowerCase()));
      return { word, found: commands.map(([name, usage, help]) => ({ text: `/${name} `, label: `/${name}`, more: help })) };
    }
    const start = word.replace(/^@/, "");
    if (!start) return { word, found: [] };
    const key = nameKey(start);
    const names = this.people.names().filter((name) => name !== this.conversation.name && nameKey(name).startsWith(key));
    return { word, found: names.map((name) => ({ text: name + (first ? ": " : " "), label: name, name })) };
  }

  offer() {
    const { word, found } = this.completions();
    const worth = word[0] === "/" || word[0] === "@" || word.length > 1;
    const offered = worth ? found.filter(({ text }) => text.trim() !== word).slice(0, OFFERS) : [];
    this.offers.hidden = !offered.length;
    this.offers.replaceChildren(...offered.map(({ text, label, more, name }) => {
      const button = element("button", name ? `c-${colourOf(name)}` : "", element("bdi", "", label));
      if (more) button.append(element("span", "", more));
      button.type = "button";
      button.tabIndex = -1;
      button.addEventListener("click", () => this.put(word, text));
      return button;
    }));
  }

  hideOffers() {
    this.offers.hidden = true;
  }

  /** Tab takes the first completion; again, the next one. Whether there was any. */
  complete() {
    if (this.tabbed && this.tabbed.value === this.text.value) {
      const { found, start, value } = this.tabbed;
      this.tabbed.at = (this.tabbed.at + 1) % found.length;
      const rest = value.slice(start.length + this.tabbed.put.length);
      this.tabbed.put = found[this.tabbed.at].text;
      this.text.value = this.tabbed.value = start + this.tabbed.put + rest;
      this.text.selectionStart = this.text.selectionEnd = start.length + this.tabbed.put.length;
      return true;
    }
    const { word, found } = this.completions();
    if (!found.length || !word) return false;
    const start = this.text.value.slice(0, this.text.selectionStart - word.length);
    this.put(word, found[0].text);
    this.tabbed = { value: this.text.value, start, put: found[0].text, found, at: 0 };
    return true;
  }

  put(word, text) {
    const end = this.text.selectionStart;
    const value = this.text.value;
    const start = end - word.length;
    this.text.value = value.slice(0, start) + text + value.slice(end);
    this.text.selectionStart = this.text.selectionEnd = start + text.length;
    this.text.focus();
    this.edited();
  }
}

/** The line that says the text, whatever it looks like. */
function verbatim(text) {
  if (/^ *(clear|exit) *$/.test(text)) return `/say ${text.trim()}`;
  return text[0] === "/" ? `/${text}` : text;
}
