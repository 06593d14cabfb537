// ------------------------------------------------------------------------------------------- records
// What the server sends are records, five fields with a TAB between them: docs/protocol.md.

const RECORD = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\t([0-9A-Fa-f.:]+|-)\t([^\t]+)\t(\/?[a-z]+)\t([^\t]*)$/;
// The page trusts no server: what could pass for another line, or turn the text around, goes.
const UNWANTED = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
const TEXT_BYTES = 4096;
const encoder = new TextEncoder();

function parseRecord(line) {
  const fields = RECORD.exec(line);
  if (!fields) return null;
  const [, time, address, name, kind, text] = fields;
  return { time, address, name: clean(name), kind, text: clean(text), direct: kind[0] === "/" };
}

function clean(text) {
  return text.replace(UNWANTED, "");
}

function bytes(text) {
  return encoder.encode(text).length;
}

/** What two names have in common that differ only in case or form. */
function nameKey(name) {
  return name.normalize("NFKC").toLowerCase().normalize("NFKC");
}

// The names of the colours are those of TCP_client.py, and so is which name gets which.
const COLOURS = ["red", "orange", "brown", "olive", "green", "teal", "blue", "indigo", "violet", "magenta", "pink", "rose"];

function colourOf(name) {
  return COLOURS[crc32(encoder.encode(nameKey(name))) % COLOURS.length];
}

function crc32(data) {
  let crc = ~0;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** Whether the name stands in the text as a word of its own. */
function mentions(text, name) {
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(^|[^\\p{L}\\p{N}_])${escaped}(?![\\p{L}\\p{N}_])`, "iu").test(text);
}

const clockFormat = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hour12: false });
const dayFormat = new Intl.DateTimeFormat([], { weekday: "long", day: "numeric", month: "long" });
const yearFormat = new Intl.DateTimeFormat([], { weekday: "long", day: "numeric", month: "long", year: "numeric" });

function clock(time) {
  return clockFormat.format(new Date(time));
}

function dayOf(time) {
  return new Date(time).toDateString();
}

function dayName(day) {
  const now = new Date();
  if (day === now.toDateString()) return "Today";
  if (day === new Date(now - 86400000).toDateString()) return "Yesterday";
  const date = new Date(day);
  return (date.getFullYear() === now.getFullYear() ? dayFormat : yearFormat).format(date);
}

/** Times inside an answer as this device's clock has them. */
function localTimes(text) {
  return text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, (time) => {
    const day = dayOf(time);
    return (day === new Date().toDateString() ? "" : new Date(time).toLocaleDateString() + " ") + clock(time);
  });
}
