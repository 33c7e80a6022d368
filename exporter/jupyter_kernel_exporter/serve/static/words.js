// Numbers in words: the twin of serve/words.py.

export const UNKNOWN = "\u2013";
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function number(value) {
  return String(value >= 100 ? Math.floor(value + 0.5) : Math.floor(value * 10 + 0.5) / 10);
}

export function size(count) {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const text = unit >= UNITS.indexOf("GiB") ? number(value) : String(Math.floor(value + 0.5));
  return `${text} ${UNITS[unit]}`;
}

export function cores(value) {
  return value === null ? UNKNOWN : number(value);
}

export function growth(bytesPerSecond) {
  if (bytesPerSecond === null) return UNKNOWN;
  const mebibytes = (Math.abs(bytesPerSecond) * 60) / 2 ** 20;
  if (mebibytes < 0.1) return "steady";
  const sign = bytesPerSecond > 0 ? "+" : "\u2212";
  if (mebibytes >= 1024) return `${sign}${number(mebibytes / 1024)} GiB/min`;
  return `${sign}${number(mebibytes)} MiB/min`;
}

export function pace(bytesPerSecond, bytesLeft) {
  if (bytesPerSecond === null || bytesLeft === null || growth(bytesPerSecond)[0] !== "+") return "";
  const seconds = bytesLeft / bytesPerSecond;
  return seconds < 86400 ? `limit in ${duration(seconds)}` : "";
}

export function duration(seconds) {
  const minutes = Math.max(0, Math.floor(seconds / 60));
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(minutes / 1440);
  if (minutes < 1) return `${Math.max(0, Math.floor(seconds))} s`;
  if (hours < 1) return `${minutes} min`;
  if (days < 1) return `${hours} h ${minutes % 60} min`;
  return `${days} d ${hours % 24} h`;
}

// ---- of the scripts only ----

// Two digits after the point: processors in use, where a hundredth is something.
export function fine(value) {
  return String(Math.floor(value * 100 + 0.5) / 100);
}

export function times(count) {
  return count === 1 ? "once" : `${count} times`;
}

const MOMENT = new Intl.DateTimeFormat("sv-SE", {
  dateStyle: "short",
  timeStyle: "medium",
});

// A moment in the time zone of whoever looks: 2025-11-21 14:02:31.
export function moment(epochSeconds) {
  return MOMENT.format(new Date(epochSeconds * 1000));
}

export function clockTime(epochSeconds, withSeconds = false) {
  return moment(epochSeconds).slice(11, withSeconds ? 19 : 16);
}
