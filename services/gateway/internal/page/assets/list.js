// The list of conversions, and the form that starts them.

import * as store from "./store.js";
import { Chooser } from "./chooser.js";
import { Follower, ended } from "./follow.js";
import { Link } from "./link.js";
import { Row, needsPassword } from "./row.js";
import { Uploads } from "./uploads.js";
import { announce, count, stateOf } from "./words.js";
import { archivePaths } from "./api.js";

export class List {
  // What is shown, by key: {entry, row, job, problem, upload, file, passwords}. The last two exist only in the tab in which
  // the document was chosen.
  #items = new Map();
  #byJob = new Map();
  #uploads = new Uploads();
  #follower;
  #chooser;
  #archived = "";
  #elements = {};

  constructor() {
    for (const id of ["work", "jobs", "summary", "forget", "archives"]) this.#elements[id] = document.getElementById(id);
    document.getElementById("home").hidden = false;
    const link = new Link();
    this.#follower = new Follower({
      onJob: (job) => this.#changed(job), onGone: (id, problem) => this.#gone(id, problem), onLink: (problem) => link.show(problem),
    });
    this.#chooser = new Chooser((chosen) => this.#convert(chosen));
    this.#elements.forget.addEventListener("click", () => {
      this.#remove([...this.#items.values()].filter((item) => this.#isOver(item)));
      document.getElementById("files").focus(); // the button is gone
    });
    this.#sync(store.load());
    store.onChange((entries) => this.#sync(entries));
    setInterval(() => this.#items.forEach((item) => item.job && !ended(item.job) && item.row.tick()), 1000);
    addEventListener("beforeunload", (e) => this.#uploads.count > 0 && e.preventDefault());
  }

  /** Starts the conversion of chosen documents. */
  #convert(chosen) {
    const batch = Date.now();
    for (const [index, { file, to, family, fields, secrets, problem }] of chosen.entries()) {
      const passwords = Object.fromEntries(secrets.map((name) => [name, fields[name]]));
      const options = Object.fromEntries(Object.entries(fields).filter(([name]) => !secrets.includes(name)));
      const entry = { key: store.newKey(), batch, index, name: file.name, size: file.size, family, to, options, secrets };
      const item = this.#add(entry, { file, passwords });
      if (problem) this.#refused(item, problem);
      else this.#upload(item);
    }
    this.#summarize();
  }

  #add(entry, more = {}) {
    const item = { entry, ...more };
    item.row = new Row({
      onRemove: () => this.#removeOne(item),
      onAgain: () => this.#upload(item),
      onPassword: (password, file) => this.#unlock(item, password, file),
    });
    item.row.describe(entry);
    item.line = document.createElement("li");
    item.line.append(item.row.element);
    // The newest batch is first; within a batch the order is that of the documents.
    const later = [...this.#items.values()].filter(({ entry: e }) => e.batch < entry.batch || (e.batch === entry.batch && e.index > entry.index));
    const next = later.sort((a, b) => b.entry.batch - a.entry.batch || a.entry.index - b.entry.index)[0];
    this.#elements.jobs.insertBefore(item.line, next?.line || null);
    this.#items.set(entry.key, item);
    return item;
  }

  #upload(item) {
    const { entry } = item;
    this.#unfollow(item);
    item.job = item.problem = undefined;
    item.row.uploading({});
    item.upload = this.#uploads.add({
      file: item.file, name: entry.name, fields: { to: entry.to, ...entry.options, ...item.passwords },
      onState: (state) => item.row.uploading(state),
      onJob: (job) => this.#accepted(item, job),
      onProblem: (problem) => this.#refused(item, problem),
    });
    this.#summarize();
  }

  #accepted(item, job) {
    if (!this.#items.has(item.entry.key)) return; // it was removed meanwhile
    item.upload = undefined;
    item.entry = { ...item.entry, id: job.id, problem: undefined };
    store.put(item.entry);
    this.#follow(item, true);
    this.#changed(job);
  }

  #refused(item, problem) {
    item.upload = undefined;
    item.problem = problem;
    const { code, title, message, remedy, errors } = problem;
    item.entry = { ...item.entry, id: undefined, problem: { code, title, detail: problem.detail || message, remedy, errors } };
    store.put(item.entry);
    this.#showProblem(item);
    announce(`${item.entry.name}: ${item.entry.problem.detail}`);
    this.#summarize();
  }

  /** Shows why there is no result, and what can be done here. */
  #showProblem(item) {
    const { entry } = item;
    const problem = item.job?.error || entry.problem;
    if (!item.job) item.row.problem(problem);
    const lost = entry.secrets?.length > 0 && !item.passwords; // other passwords, without which the result would differ
    if (needsPassword(problem) && !lost && this.#chooser.takesPasswords) item.row.askPassword(!item.file);
    else item.row.canTryAgain = Boolean(item.file) && (problem.retryable || item.problem?.temporary || ["upload-interrupted", "upload-too-slow", "internal"].includes(problem.code));
  }

  #unlock(item, password, file) {
    if (file) {
      item.file = file;
      item.entry = { ...item.entry, name: file.name, size: file.size };
      item.row.describe(item.entry);
    }
    item.passwords = { ...item.passwords, password };
    this.#upload(item);
  }

  #follow(item, known) {
    const { id } = item.entry;
    item.row.describe(item.entry);
    this.#byJob.set(id, item);
    this.#follower.add(id, known);
  }

  #unfollow(item) {
    if (!item.entry.id) return;
    this.#byJob.delete(item.entry.id);
    this.#follower.remove(item.entry.id);
  }

  #changed(job) {
    const item = this.#byJob.get(job.id);
    if (!item || (item.job && ended(item.job))) return;
    item.job = job;
    item.row.job(job);
    if (ended(job)) {
      if (job.error) this.#showProblem(item);
      const left = [...this.#items.values()].filter((other) => !this.#isOver(other)).length;
      announce(left > 0 ? `${item.entry.name}: ${stateOf(job)}. ${count(left, "conversion", "conversions")} left.` : `${item.entry.name}: ${stateOf(job)}. No conversions left.`);
    }
    this.#summarize();
  }

  #gone(id, problem) {
    const item = this.#byJob.get(id);
    if (!item) return;
    item.problem = problem;
    item.row.problem(problem, "Gone");
    this.#summarize();
  }

  #isOver(item) {
    return !item.upload && Boolean(item.problem || item.entry.problem || (item.job && ended(item.job)));
  }

  #removeOne(item) {
    const next = item.line.nextElementSibling || item.line.previousElementSibling;
    this.#remove([item]);
    (next?.querySelector(".remove") || document.getElementById("files")).focus(); // the button that had it is gone
  }

  #remove(items) {
    for (const item of items) this.#drop(item);
    store.remove(new Set(items.map((item) => item.entry.key)));
    this.#summarize();
  }

  #drop(item) {
    if (item.upload) this.#uploads.cancel(item.upload);
    this.#unfollow(item);
    this.#items.delete(item.entry.key);
    item.line.remove();
  }

  /** Makes the list that of the store, which another tab may have changed. */
  #sync(entries) {
    const keys = new Set(entries.map((entry) => entry.key));
    for (const item of [...this.#items.values()]) {
      if (!item.upload && !keys.has(item.entry.key)) this.#drop(item);
    }
    for (const entry of entries) {
      let item = this.#items.get(entry.key);
      const known = item && item.entry.id === entry.id && item.entry.problem?.code === entry.problem?.code;
      if (known || item?.upload) continue;
      if (item) this.#unfollow(item);
      else item = this.#add(entry);
      item.entry = entry;
      item.job = item.problem = undefined;
      if (entry.id) {
        item.row.unknown();
        this.#follow(item, false);
      } else {
        this.#showProblem(item);
      }
    }
    this.#summarize();
  }

  #summarize() {
    const items = [...this.#items.values()];
    const succeeded = items.filter((item) => item.job?.status === "succeeded");
    const over = items.filter((item) => this.#isOver(item)).length;
    const failed = over - succeeded.length;
    const { work, summary, forget } = this.#elements;
    work.hidden = items.length === 0;
    document.getElementById("home").classList.toggle("used", items.length > 0);
    const words = over < items.length ? `${over} of ${items.length} done` : `${succeeded.length} done`;
    summary.textContent = failed > 0 ? `${words}, ${failed} failed` : words;
    forget.hidden = over === 0;
    document.title = over < items.length ? `(${over}/${items.length}) Docmill` : "Docmill";
    this.#offerArchives(succeeded);
  }

  #offerArchives(succeeded) {
    const order = (a, b) => b.entry.batch - a.entry.batch || a.entry.index - b.entry.index;
    const paths = succeeded.length > 1 ? archivePaths(succeeded.sort(order).map((item) => item.entry.id)) : [];
    const now = paths.join();
    if (now === this.#archived) return;
    this.#archived = now;
    this.#elements.archives.replaceChildren(...paths.map((path, i) => {
      const archive = document.createElement("a");
      archive.className = "button";
      archive.href = path;
      archive.download = "";
      archive.textContent = paths.length > 1 ? `Download part ${i + 1} of ${paths.length}` : "Download all";
      return archive;
    }));
  }
}
