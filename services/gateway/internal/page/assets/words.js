// The texts of the page.

import { ended } from "./follow.js";

const texts = new Map();
for (const entry of document.getElementById("texts").content.children) {
  texts.set(entry.dataset.code, { title: entry.querySelector("dt").textContent, remedy: entry.querySelector("dd").textContent });
}

/** The title and remedy of a code that the answers of the API do not contain; undefined if they do. */
export const textOf = (code) => texts.get(code);

/** A name without the invisible characters that turn the direction of writing, so that "fdp.exe" is not shown as "exe.pdf". */
export const shown = (name) => name.replace(/[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/g, "\ufffd");

/** The name without its extension, and the extension with its dot; empty if there is none. */
export function split(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 && name.length - dot <= 9 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
}

/** The name of an option for people: "pdf_ua" is "PDF/UA". */
export function labelOf(option) {
  const words = option.replaceAll("_", " ").replace(/\bpdf (u?a)\b/, (_, part) => `PDF/${part.toUpperCase()}`);
  return capital(words.replace(/\bdpi\b/, "DPI"));
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const extension = (name) => split(name)[1].slice(1).toLowerCase();

/** Sets a name so that its extension remains visible when it is cut. */
export function setName(element, name) {
  const parts = split(shown(name)).map((part, i) => {
    const bdi = document.createElement("bdi"); // its direction must not affect the rest of the line
    bdi.className = ["stem", "extension"][i];
    bdi.textContent = part;
    return bdi;
  });
  element.replaceChildren(...parts);
  element.title = shown(name);
}

const units = ["bytes", "KB", "MB", "GB", "TB"];

/** A size in units of 1024, as limits are set. */
export function size(bytes) {
  if (bytes === 1) return "1 byte";
  let n = bytes;
  let unit = 0;
  while (n >= 1023.5 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${n < 9.95 && unit > 0 && !Number.isInteger(n) ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

export function duration(milliseconds) {
  const s = Math.max(milliseconds, 0) / 1000;
  if (s < 0.1) return "under 0.1 s";
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min ${Math.floor(s % 60)} s`;
  return `${Math.floor(m / 60)} h ${m % 60} min`;
}

export const count = (n, one, more) => (n === 1 ? `1 ${one}` : `${n.toLocaleString("en-US")} ${more}`);

const phases = { loading: "Opening the document", converting: "Converting", storing: "Saving the result" };

/** What a job does, in a few words. */
export function stateOf(job) {
  switch (job.status) {
    case "queued":
      return job.attempt > 0 ? "Waiting to retry" : "Waiting";
    case "running":
      return phases[job.progress?.phase] || "Converting";
    case "succeeded":
      return "Done";
    case "canceled":
      return "Canceled";
    default:
      return "Failed";
  }
}

/** How far a job has come, or what its result is. */
export function factsOf(job) {
  if (job.result) return [...(job.result.pages ? [count(job.result.pages, "page", "pages")] : []), size(job.result.size)];
  return job.progress ? [`${job.progress.percent}%`] : [];
}

/** When the files of a job that has ended are deleted, for people; empty if that is not known. */
export function expiryOf(job) {
  if (!ended(job) || !job.expires_at) return "";
  return new Date(job.expires_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** How long a job has taken so far, in milliseconds. */
export const elapsed = (job, now) => (ended(job) ? Date.parse(job.finished_at) : now) - Date.parse(job.created_at);

/** The warnings of a job, one for each code: {what, remedy}. Warnings about changes that cannot be seen in the result are left out. */
export function warnings(job) {
  const byCode = new Map();
  for (const w of (job.warnings || []).filter((w) => w.severity !== "information")) byCode.set(w.code, [...(byCode.get(w.code) || []), w.detail]);
  return [...byCode].map(([code, details]) => {
    const { title, remedy } = textOf(code) || { title: details.shift(), remedy: "" };
    // A detail is a sentence that begins with a number ("2 links were not followed."), another sentence, which repeats the
    // title, or an element of a list.
    const numbers = details.map((d) => /^\d+/.exec(d)?.[0]).filter(Boolean);
    const parts = details.filter((d) => !d.endsWith("."));
    const more = numbers.length > 0 ? ` (${numbers.join(", ")})` : parts.length > 0 ? `: ${parts.join(", ")}` : "";
    return { what: `${title.replace(/\.$/, "")}${more}.`, remedy };
  });
}

const region = document.getElementById("announcement");
const pause = 3000; // between two announcements, in milliseconds
const maxNamed = 3; // more would take too long to listen to

let news; // what to announce next: {totals, failures}
let announcedAt = -pause;

/** Announces the totals and a failure to users of screen readers. The totals replace earlier ones that were not announced yet. */
export function announce(totals, failure) {
  if (!news) setTimeout(tell, Math.max(announcedAt + pause - performance.now(), 500));
  news = { totals, failures: [...(news?.failures || []), ...(failure ? [failure] : [])] };
}

function tell() {
  region.textContent = shown([...news.failures.slice(0, maxNamed), news.totals].join(" "));
  announcedAt = performance.now();
  news = undefined;
}
