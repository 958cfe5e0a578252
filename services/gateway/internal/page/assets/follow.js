// Follows unfinished jobs: a few by live events, the others by polls.

import { Problem, eventsPath, poll } from "./api.js";

const maxStreams = 2; // a browser has 6 connections to a host, for all tabs
const maxPolls = 2;
const interval = 2000; // between two polls of a job, in milliseconds
const intervalWithStream = 20_000; // a silent stream may have lost its connection
const pauseAfterError = 10_000; // before a job whose stream failed gets another
const longestWait = 5000; // between two tries to reach the server

export const ended = (job) => ["succeeded", "failed", "canceled"].includes(job.status);

/**
 * Follows jobs until they have ended. `onJob(job)` gets each state, `onGone(id, problem)` a job that cannot be shown, and
 * `onLink(problem)` the reason why the server cannot be asked, or null as soon as it can.
 */
export class Follower {
  #jobs = new Map(); // in the order in which they were added, so the oldest are first
  #on;
  #polling = 0;
  #failures = 0;
  #holdUntil = 0; // no polls before that

  constructor(on) {
    this.#on = on;
    setInterval(() => this.#work(), 500);
    document.addEventListener("visibilitychange", () => this.#work());
  }

  /** Follows a job. `known` is whether the caller has its state, which need not be asked for at once then. */
  add(id, known = false) {
    if (this.#jobs.has(id)) return;
    this.#jobs.set(id, { id, seen: known, next: known ? Date.now() + 1000 : 0, stream: null, streamAfter: 0, busy: false });
    this.#work();
  }

  remove(id) {
    this.#jobs.get(id)?.stream?.close();
    this.#jobs.delete(id);
    this.#work();
  }

  #work() {
    this.#arrangeStreams();
    const at = Date.now();
    if (at < this.#holdUntil) return;
    const due = [...this.#jobs.values()].filter((j) => !j.busy && j.next <= at).sort((a, b) => a.next - b.next);
    for (const job of due.slice(0, Math.max(maxPolls - this.#polling, 0))) this.#poll(job);
  }

  /** Gives streams to the oldest jobs, but not in a tab that nobody looks at: all tabs share the connections. */
  #arrangeStreams() {
    let free = document.visibilityState === "visible" && this.#failures === 0 ? maxStreams : 0;
    for (const job of this.#jobs.values()) {
      const wanted = free > 0 && job.seen && job.streamAfter <= Date.now();
      if (wanted) free--;
      if (wanted && !job.stream) this.#open(job);
      if (!wanted && job.stream) this.#close(job);
    }
  }

  #open(job) {
    job.stream = new EventSource(eventsPath(job.id));
    job.next = Date.now() + intervalWithStream;
    job.stream.onmessage = (e) => {
      job.next = Date.now() + intervalWithStream;
      this.#received(JSON.parse(e.data));
    };
    // It could connect again by itself, but would hide whether the server is there. A poll tells.
    job.stream.onerror = () => {
      job.streamAfter = Date.now() + pauseAfterError;
      this.#close(job);
      this.#work();
    };
  }

  #close(job) {
    job.stream.close();
    job.stream = null;
    job.next = Date.now();
  }

  async #poll(job) {
    job.busy = true;
    this.#polling++;
    try {
      const { body, retryAfter } = await poll(job.id);
      job.next = Date.now() + Math.max(job.stream ? intervalWithStream : interval, retryAfter * 1000);
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

  #failed(job, error) {
    if (!(error instanceof Problem)) throw error;
    if (!this.#jobs.has(job.id)) return;
    if (!error.temporary) {
      this.#answered();
      this.remove(job.id);
      this.#on.onGone(job.id, error);
      return;
    }
    const wait = error.retryAfter * 1000 || Math.min(1000 * 2 ** this.#failures, longestWait);
    this.#holdUntil = Math.max(this.#holdUntil, Date.now() + wait);
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
