// Follows unfinished jobs: a few by live events, the others by polls.

import { Problem, eventsPath, isGone, poll } from "./api.js";

const maxStreams = 2; // a browser has 6 connections to a host, for all tabs
const maxPolls = 2;
const interval = 2000; // between two polls of a job, in milliseconds
const intervalOfHidden = 10_000; // the same in a hidden tab
const share = 100; // milliseconds of the interval for each job: there are at most 10 polls in a second
const intervalWithStream = 20_000; // a silent stream may have lost its connection
const pauseAfterError = 10_000; // before another stream is opened: the server may have too many
const longestWait = 5000; // between two tries to reach the server

export const ended = (job) => ["succeeded", "failed", "canceled"].includes(job.status);

/**
 * Follows jobs until they have ended. `onJob(job)` gets each state, `onGone(id, problem)` a job that does not exist or was deleted, and
 * `onLink(problem)` the reason why the server cannot be reached, or null when it answers again. While `isUploading()` is true,
 * no streams are open, so that the uploads can use their connections.
 */
export class Follower {
  #jobs = new Map(); // in the order in which they were added: the first get the streams
  #on;
  #polling = 0;
  #failures = 0;
  #pollsAfter = 0; // in the time of performance.now(), which never goes back
  #streamsAfter = 0;

  constructor(on) {
    this.#on = on;
    setInterval(() => this.#work(), 500);
    document.addEventListener("visibilitychange", () => this.#work());
  }

  /** Follows a job. `known` is whether the caller has its current state; otherwise it is requested at once. */
  add(id, known = false) {
    if (this.#jobs.has(id)) return;
    this.#jobs.set(id, { id, seen: known, heardAt: known ? performance.now() : undefined, pollAfter: 0, stream: null, busy: false });
    this.#work();
  }

  remove(id) {
    this.#jobs.get(id)?.stream?.close();
    this.#jobs.delete(id);
    this.#work();
  }

  #work() {
    this.#arrangeStreams();
    const at = performance.now();
    const free = maxPolls - this.#polling;
    if (free <= 0 || at < this.#pollsAfter) return;
    const due = [...this.#jobs.values()].filter((j) => !j.busy && this.#dueAt(j) <= at).sort((a, b) => this.#dueAt(a) - this.#dueAt(b));
    for (const job of due.slice(0, free)) this.#poll(job);
  }

  /** When to request the state of a job. */
  #dueAt(job) {
    if (job.heardAt === undefined) return job.pollAfter;
    const usual = Math.max(document.hidden ? intervalOfHidden : interval, this.#jobs.size * share);
    return Math.max(job.heardAt + (job.stream ? intervalWithStream : usual), job.pollAfter);
  }

  /** Keeps streams open for the first jobs, but not in a hidden tab: all tabs share the connections. */
  #arrangeStreams() {
    const allowed = !document.hidden && this.#failures === 0 && !this.#on.isUploading?.() && this.#streamsAfter <= performance.now();
    let free = allowed ? maxStreams : 0;
    for (const job of this.#jobs.values()) {
      const wanted = free > 0 && job.seen;
      if (wanted) free--;
      if (wanted && !job.stream) this.#open(job);
      if (!wanted && job.stream) this.#close(job);
    }
  }

  #open(job) {
    job.stream = new EventSource(eventsPath(job.id));
    job.heardAt = performance.now();
    job.stream.onmessage = (e) => {
      job.heardAt = performance.now();
      this.#received(JSON.parse(e.data));
    };
    // An EventSource connects again by itself, but does not tell whether the server can be reached. A poll does.
    job.stream.onerror = () => {
      this.#streamsAfter = performance.now() + pauseAfterError;
      this.#close(job);
      this.#work();
    };
  }

  #close(job) {
    job.stream.close();
    job.stream = null;
    job.heardAt = undefined;
  }

  async #poll(job) {
    job.busy = true;
    this.#polling++;
    try {
      const { body, retryAfter } = await poll(job.id);
      job.heardAt = performance.now();
      job.pollAfter = job.heardAt + retryAfter * 1000;
      this.#answered();
      this.#received(body);
    } catch (error) {
      this.#failed(job, error);
    } finally {
      job.busy = false;
      this.#polling--;
      this.#work();
    }
  }

  #answered() {
    if (this.#failures > 0) this.#on.onLink(null);
    this.#failures = 0;
  }

  /** Only some codes mean that there is no job. Other answers may come from a proxy, or from a server that is starting. */
  #failed(job, error) {
    if (!(error instanceof Problem)) throw error;
    if (!this.#jobs.has(job.id)) return;
    if (isGone(error)) {
      this.#answered();
      this.remove(job.id);
      this.#on.onGone(job.id, error);
      return;
    }
    const wait = error.retryAfter * 1000 || Math.min(1000 * 2 ** this.#failures, longestWait);
    job.pollAfter = performance.now() + wait;
    this.#pollsAfter = Math.max(this.#pollsAfter, job.pollAfter);
    this.#failures++;
    this.#on.onLink(error);
  }

  #received(job) {
    const followed = this.#jobs.get(job.id);
    if (!followed) return; // it was removed, or the answer is late
    followed.seen = true;
    if (ended(job)) this.remove(job.id);
    this.#on.onJob(job);
  }
}
