// Uploads documents, a few at a time.

import { Problem, submit } from "./api.js";

const maxUploads = 2; // a browser has 6 connections to a host, for all tabs
const maxTries = 30; // some minutes
const longestWait = 10_000; // between two tries, in milliseconds
const silence = 15_000; // without any progress

export class Uploads {
  #waiting = [];
  #running = new Set();
  #holdUntil = 0;
  #timer;
  #progressAt = -silence;

  /** How many uploads have not ended. */
  get count() {
    return this.#waiting.length + this.#running.size;
  }

  /** Whether an upload has made progress recently. */
  get progressing() {
    return this.#running.size > 0 && performance.now() - this.#progressAt < silence;
  }

  /**
   * Adds an upload: {file, name, fields, key, onState, onJob, onProblem}. All tries have the same key, so there is one job. onState gets
   * {fraction}, or {problem} while the upload waits to be tried again.
   */
  add(upload) {
    upload.tries = 0;
    this.#waiting.push(upload);
    this.#work();
    return upload;
  }

  cancel(upload) {
    upload.canceled = true;
    upload.abort?.();
    this.#waiting = this.#waiting.filter((other) => other !== upload);
  }

  #work() {
    const wait = this.#holdUntil - performance.now();
    if (wait > 0) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#work(), wait);
      return;
    }
    while (this.#running.size < maxUploads && this.#waiting.length > 0) this.#send(this.#waiting.shift());
  }

  async #send(upload) {
    this.#running.add(upload);
    upload.tries++;
    upload.onState({ fraction: 0 });
    const request = submit(upload, (fraction) => {
      this.#progressAt = performance.now();
      upload.onState({ fraction });
    });
    upload.abort = request.abort;
    let job, problem;
    try {
      job = await request.job;
    } catch (error) {
      problem = error.status === 0 && !error.code && !(await isReadable(upload.file)) ? unreadable() : error;
    }
    this.#running.delete(upload);
    if (job) upload.onJob(job);
    else if (!upload.canceled) this.#failed(upload, problem);
    this.#work();
  }

  #failed(upload, problem) {
    if (!repeatable(problem) || upload.tries >= maxTries) {
      upload.onProblem(problem);
      return;
    }
    const least = Math.max(problem.retryAfter * 1000 || 0, Math.min(1000 * 2 ** (upload.tries - 1), longestWait));
    const wait = least * (1 + Math.random() / 2); // other pages were rejected at the same time
    this.#holdUntil = Math.max(this.#holdUntil, performance.now() + wait);
    this.#waiting.unshift(upload);
    upload.onState({ problem });
  }
}

/**
 * Whether to repeat an upload without asking the user. Its job may exist, but the document is not converted twice, because the upload has
 * the same key. A proxy answers with 502 or 504 if Docmill does not.
 */
const repeatable = ({ status, code }) => [0, 429, 502, 503, 504].includes(status) || code === "upload-interrupted";

/** Whether the document is unchanged since it was chosen. The upload of a changed one fails as if the connection were lost. */
async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

const unreadable = () => new Problem(-1, { detail: "The document cannot be read: it was changed or removed.", remedy: "Choose it again." });
