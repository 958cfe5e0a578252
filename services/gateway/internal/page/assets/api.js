// Requests to the API.

/** A request that failed. `status` is 0 if there was no answer, and -1 if nothing was sent. */
export class Problem extends Error {
  constructor(status, body = {}, retryAfter = 0) {
    super(body.detail || body.title || "");
    this.status = status;
    this.code = body.code || "";
    this.title = body.title || "";
    this.remedy = body.remedy || "";
    this.errors = body.errors || [];
    this.trace = body.trace_id || "";
    this.job = body.job_state; // if its state does not permit the request
    this.retryAfter = retryAfter; // in seconds; 0 if the server did not say
  }

  /** Whether the same request may succeed later. An answer without a code is not from Docmill. */
  get temporary() {
    return this.status >= 0 && (!this.code || [408, 429, 500, 503].includes(this.status) || ["queue-unconfirmed", "upload-interrupted"].includes(this.code));
  }
}

/** How far the server's clock is ahead of this one, in milliseconds. */
let ahead = 0;

/** The time of the server. */
export const now = () => Date.now() + ahead;

function setClock(date) {
  const server = Date.parse(date);
  // The header has whole seconds, so a small difference is ignored.
  if (!Number.isNaN(server)) ahead = Math.abs(server - Date.now()) < 1500 ? 0 : server - Date.now();
}

/** The seconds in a Retry-After header; 0 if there are none. */
function seconds(retryAfter) {
  const n = Number(retryAfter);
  return Number.isFinite(n) ? Math.max(n, 0) : 0; // Docmill never sends a date
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function problemOf(status, text, retryAfter) {
  const body = parse(text);
  if (body && typeof body.code === "string") return new Problem(status, body, seconds(retryAfter));
  return new Problem(status, { detail: `Something between this browser and Docmill answered with status ${status}.` }, seconds(retryAfter));
}

/** Requests JSON. Returns the body and how many seconds the server wants a client to wait before it asks again. */
async function request(path, method = "GET") {
  let response, text;
  try {
    // A request that takes this long has lost its connection.
    response = await fetch(path, { method, signal: AbortSignal.timeout(15_000) });
    text = await response.text();
  } catch {
    throw new Problem(0, { detail: "Docmill is not responding." });
  }
  setClock(response.headers.get("Date"));
  const retryAfter = response.headers.get("Retry-After");
  if (!response.ok) throw problemOf(response.status, text, retryAfter);
  if (response.status === 204) return {};
  const body = parse(text);
  if (!body) throw problemOf(response.status, text, retryAfter);
  return { body, retryAfter: seconds(retryAfter) };
}

export const formats = async () => (await request("/v1/formats")).body;

const path = (id) => `/v1/jobs/${encodeURIComponent(id)}`;

export const poll = (id) => request(path(id));
export const cancel = async (id) => (await request(`${path(id)}/cancel`, "POST")).body;
export const retry = async (id) => (await request(`${path(id)}/retry`, "POST")).body;
export const remove = (id) => request(path(id), "DELETE");

/** Whether a problem means that there is no job any more, or never was. */
export const isGone = (problem) => ["job-not-found", "job-deleted", "job-expired"].includes(problem.code);

export const resultPath = (id) => `${path(id)}/result`;
export const eventsPath = (id) => `${path(id)}/events`;
export const pagePath = (id) => `/jobs/${encodeURIComponent(id)}`;

/** The most results that one archive may have. */
const maxArchived = 100;

/** The paths of the archives of all these results. */
export function archivePaths(ids) {
  const paths = [];
  for (let i = 0; i < ids.length; i += maxArchived) {
    paths.push("/v1/results.zip?" + new URLSearchParams(ids.slice(i, i + maxArchived).map((id) => ["id", id])));
  }
  return paths;
}

/** How long an upload may make no progress, and how long the answer may take, in milliseconds. */
const patience = 60_000;

/**
 * Submits a document and resolves with its job. Submissions with the same `key` must be identical, and share one job. fetch
 * does not report how much of a body was sent; XMLHttpRequest does. The problem of a connection that is lost after the whole body has
 * the code queue-unconfirmed: the job may exist. The caller may abort the returned request.
 */
export function submit({ file, name, fields, key }, onProgress) {
  const request = new XMLHttpRequest();
  const job = new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [field, value] of Object.entries(fields)) form.append(field, value);
    form.append("file", file, name); // last: the server reads the options first
    let sent = false;
    let timer; // starts when the browser has a connection for the request
    const lost = (detail) => reject(new Problem(0, sent ? { code: "queue-unconfirmed", detail: "The document was sent, but there was no answer." } : { detail }));
    const expectMore = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        lost("The upload made no progress.");
        request.abort();
      }, patience);
    };
    request.upload.onprogress = (e) => {
      expectMore();
      onProgress(e.lengthComputable ? e.loaded / e.total : 0);
    };
    request.upload.onload = () => (sent = true);
    request.onloadend = () => clearTimeout(timer);
    request.onload = () => {
      setClock(request.getResponseHeader("Date"));
      const body = parse(request.responseText);
      if (request.status >= 200 && request.status < 300 && body) resolve(body);
      else reject(problemOf(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => lost("The connection was lost.");
    request.onabort = () => reject(new Problem(0, { code: "aborted" }));
    request.open("POST", "/v1/jobs");
    // During an upgrade, a browser may have loaded an older list.js, which has no keys.
    if (key) request.setRequestHeader("Idempotency-Key", `"${key}"`);
    request.send(form);
  });
  return { job, abort: () => request.abort() };
}
