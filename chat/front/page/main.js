// ----------------------------------------------------------------------------------------------- main

const chat = JSON.parse(document.getElementById("chat").textContent);
const door = document.getElementById("door");
const room = document.getElementById("room");
const joinForm = document.getElementById("join");
const asksSecret = document.getElementById("asks-secret");
const why = document.getElementById("why");
const state = document.getElementById("state");
const STATES = { out: "not connected", connecting: "connecting…", connected: "connected" };
const TAB_MS = 200; // for another tab to say that it has this session

const owner = {
  records(records) {
    for (const record of records) people.hear(record);
    log.show(records);
    const heard = records.filter((record) => log.counts(record));
    if (heard.length) bell.hear(heard);
  },
  changed(reason) {
    state.textContent = reason || STATES[conversation.state];
    if (reason) why.textContent = reason;
    state.className = conversation.state;
    if (conversation.state !== "out") log.showPending();
    if (conversation.state === "connected" && !owner.was) people.fetch();
    owner.was = conversation.state === "connected";
    if (owner.was) log.fill();
  },
  emptied() {
    log.empty();
  },
  left(reason) {
    showDoor(reason);
  },
  refused(reason) {
    showDoor();
    explain(reason);
  },
  told(sentence) {
    log.note(sentence, "", "/told");
  },
  unsure(lines) {
    log.note("The connection broke. Nobody knows whether this was done:", lines.join(", "));
  },
};

const conversation = new Conversation(owner);
const people = new People(conversation);
const log = new Log(conversation);
const composer = new Composer(conversation, people);
const bell = new Bell(conversation, chat.title || "Chat");

composer.onsent = () => {
  log.toBottom();
  log.atBottom = true;
};

// ----- the door

function showDoor(reason = "") {
  room.hidden = true;
  door.hidden = false;
  why.textContent = reason;
  joinForm.name.value = joinForm.name.value || conversation.name || read("name");
  if (chat.password || conversation.password) document.getElementById("asks-password").hidden = false;
  joinForm.name.focus();
  joinForm.name.select();
}

function showRoom() {
  door.hidden = true;
  room.hidden = false;
  composer.restore();
  log.toBottom();
  if (!matchMedia("(pointer: coarse)").matches) composer.text.focus(); // where it opens no keyboard on the screen
}

joinForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = joinForm.name.value.trim();
  if (!name) {
    why.textContent = "Type a name first.";
    joinForm.name.focus();
    return;
  }
  const button = joinForm.querySelector("button");
  button.disabled = true;
  why.textContent = "";
  log.empty();
  const problem = await conversation.join(name, joinForm.password.value, asksSecret.hidden ? "" : joinForm.secret.value.trim());
  button.disabled = false;
  if (problem) return explain(problem);
  joinForm.secret.value = "";
  asksSecret.hidden = true;
  write("name", name);
  showRoom();
});

joinForm.name.addEventListener("input", () => { asksSecret.hidden = true; });

/** Say why one can't come in, and go to where that can be mended. */
function explain(problem) {
  const owned = NOT_THE_SECRET.test(problem);
  asksSecret.hidden = !owned;
  joinForm.secret.value = "";
  why.textContent = owned ? problem.replace(/[:;] .*/, ". If it is yours, type its secret.") : problem;
  (owned ? joinForm.secret : /password/i.test(problem) && chat.password ? joinForm.password : joinForm.name).focus();
}

document.getElementById("leave").addEventListener("click", () => conversation.leave());

// A touch on a name writes to it in private.
room.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-name]");
  if (!button) return;
  if (people.panel.contains(button)) people.toggle(false);
  composer.writeTo(button.dataset.name);
});

// ----- coming back

let hiddenAt = 0;

function woken() {
  if (document.hidden) {
    hiddenAt = Date.now();
    return;
  }
  conversation.woken(hiddenAt ? Date.now() - hiddenAt : 0);
  hiddenAt = 0;
  bell.seen();
}

document.addEventListener("visibilitychange", woken);
addEventListener("pageshow", (event) => event.persisted && conversation.woken(Infinity));
addEventListener("online", () => conversation.woken(Infinity));
addEventListener("focus", () => bell.seen());

// ----- beginning

// A tab that was duplicated has the session of the first: two tabs are two people, so the first keeps it.
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("sessions") : null;
if (tabs) tabs.onmessage = ({ data }) => {
  if (data.has === conversation.token && conversation.token && conversation.state !== "out") tabs.postMessage({ taken: data.has });
};

async function begin() {
  document.title = chat.title || "Chat";
  for (const heading of document.querySelectorAll("h1")) heading.textContent = chat.title || "Chat";
  document.querySelector(".where").textContent = location.host;
  const host = location.hostname.replace(/^\[|\]$/g, "");
  const there = location.port === "9999" ? host : host.includes(":") ? `[${host}]:${location.port || 80}` : `${host}:${location.port || 80}`;
  document.getElementById("curl").textContent = `curl -O ${location.origin}/TCP_client.py && python3 TCP_client.py ${there}`;
  document.getElementById("powershell").textContent = `iwr ${location.origin}/TCP_client.py -OutFile TCP_client.py; py TCP_client.py ${there}`;
  if (!conversation.restore()) return showDoor();
  if (tabs && (await takenElsewhere(conversation.token))) {
    conversation.forget();
    conversation.name = "";
    return showDoor();
  }
  conversation.state = "connecting";
  showRoom();
  conversation.open();
}

function takenElsewhere(token) {
  const asking = new BroadcastChannel("sessions");
  return new Promise((resolve) => {
    asking.onmessage = ({ data }) => data.taken === token && resolve(true);
    asking.postMessage({ has: token });
    setTimeout(() => resolve(false), TAB_MS);
  }).finally(() => asking.close());
}

begin();
