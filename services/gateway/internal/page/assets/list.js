// The list of conversions, and the form that starts them.

import * as store from "./store.js";
import { Chooser } from "./chooser.js";
import { Follower, ended } from "./follow.js";
import { Link } from "./link.js";
import { Row, needsPassword } from "./row.js";
import { Uploads } from "./uploads.js";
import { announce, shown } from "./words.js";
import { Problem, archivePaths, cancel, isGone, now, remove, retry } from "./api.js";
import { confirmDelete } from "./confirm.js";

/** The codes after which a document must be uploaded again to be converted again. */
const needsUpload = ["job-not-retryable", "job-not-found", "job-deleted", "job-expired"];

/** How long after its expiry a job is requested again, in milliseconds. */
const afterExpiry = 2000;

/** A problem as it is shown in a tab that no longer has the document, and therefore cannot repeat its upload. */
const withoutDocument = (problem) =>
  problem.code === "queue-unconfirmed" ? { ...problem, code: "", remedy: "Choose the document again. It may then be converted twice." } : problem;

/** Compares entries: the newest batch is first, and within a batch the order is that of the documents. */
const inOrder = (a, b) => b.batch - a.batch || a.index - b.index;

const byEntry = (a, b) => inOrder(a.entry, b.entry);

export class List {
  // What is shown, by key: {entry, row, job, problem, upload, file, passwords}. The last two exist only in the tab in which
  // the document was chosen.
  #items = new Map();
  #byJob = new Map();
  #uploads = new Uploads();
  #follower;
  #chooser;
  #elements = {};

  constructor() {
    for (const id of ["work", "jobs", "summary", "forget", "archives", "kept"]) this.#elements[id] = document.getElementById(id);
    document.getElementById("home").hidden = false;
    const link = new Link();
    this.#follower = new Follower({
      onJob: (job) => this.#changed(job),
      onGone: (id, problem) => this.#gone(id, problem),
      // During uploads, a request without an answer may only wait for one of the browser's few connections.
      onLink: (problem) => link.show(this.#uploads.progressing ? null : problem),
      isUploading: () => this.#uploads.count > 0,
    });
    this.#chooser = new Chooser((chosen) => this.#convert(chosen));
    this.#elements.forget.addEventListener("click", () => {
      this.#remove([...this.#items.values()].filter((item) => this.#isOver(item)));
      document.getElementById("files").focus(); // the button is gone
    });
    for (const entry of store.load().sort(inOrder)) this.#adopt(entry);
    this.#summarize();
    store.onChange((key, entry) => this.#changedElsewhere(key, entry));
    setInterval(() => this.#items.forEach((item) => this.#tick(item)), 1000);
    addEventListener("beforeunload", (e) => this.#uploads.count > 0 && e.preventDefault());
  }

  /** Starts the conversion of chosen documents. */
  #convert(chosen) {
    const batch = Date.now();
    for (const [index, { file, to, family, fields, secrets, problem }] of chosen.entries()) {
      const passwords = Object.fromEntries(secrets.map((name) => [name, fields[name]]));
      const options = Object.fromEntries(Object.entries(fields).filter(([name]) => !secrets.includes(name)));
      const entry = { key: store.newKey(), batch, index, name: file.name, size: file.size, family, to, options, secrets, submission: store.newKey() };
      const item = this.#add(entry, { file, passwords });
      if (problem) this.#refused(item, problem);
      else this.#upload(item);
    }
    this.#makeRoom();
    this.#summarize();
  }

  /** Removes the oldest finished conversions if there are too many to keep. */
  #makeRoom() {
    const tooMany = Math.max(this.#items.size - store.limit, 0);
    this.#remove([...this.#items.values()].filter((item) => this.#isOver(item)).sort(byEntry).reverse().slice(0, tooMany));
  }

  #save(item, changes) {
    item.entry = { ...item.entry, ...changes };
    if (!store.put(item.entry)) this.#elements.kept.textContent = "This browser cannot keep the list: it is lost when this page is closed.";
  }

  #add(entry, more = {}) {
    const item = { entry, ...more };
    item.row = new Row({
      onRemove: () => this.#removeOne(item),
      onCancel: () => this.#cancel(item),
      onAgain: () => this.#again(item),
      onDelete: () => this.#delete(item),
      onPassword: (password, file) => this.#unlock(item, password, file),
    });
    item.row.describe(entry);
    item.line = document.createElement("li");
    item.line.append(item.row.element);
    const [next] = [...this.#items.values()].filter((other) => byEntry(other, item) > 0).sort(byEntry);
    this.#elements.jobs.insertBefore(item.line, next?.line || null);
    this.#items.set(entry.key, item);
    return item;
  }

  /** Uploads the document of an entry. A repeated upload gets the same job. */
  #upload(item) {
    const { entry } = item;
    this.#unfollow(item);
    item.job = item.problem = undefined;
    item.row.uploading({});
    item.upload = this.#uploads.add({
      file: item.file, name: entry.name, fields: { to: entry.to, ...entry.options, ...item.passwords }, key: entry.submission,
      onState: (state) => item.row.uploading(state),
      onJob: (job) => this.#accepted(item, job),
      onProblem: (problem) => this.#refused(item, problem),
    });
    this.#summarize();
  }

  /** Uploads the document of an entry again, for a new job. */
  #uploadAnew(item) {
    item.entry = { ...item.entry, submission: store.newKey() };
    this.#upload(item);
  }

  #accepted(item, job) {
    if (!this.#items.has(item.entry.key)) return; // it was removed meanwhile
    item.upload = undefined;
    const family = this.#chooser.familyOf(job.source.content_type) || item.entry.family; // the server has recognized the content
    this.#save(item, { id: job.id, family, problem: undefined });
    this.#follow(item, true);
    this.#changed(job);
    if (ended(job)) this.#tell(item, job.error); // the result of an earlier job, or of a repeated submission
  }

  #refused(item, problem) {
    item.upload = undefined;
    item.problem = problem;
    const { code, title, message, remedy, errors } = problem;
    this.#save(item, { id: undefined, problem: { code, title, detail: problem.detail || message, remedy, errors } });
    item.row.describe(item.entry);
    this.#showProblem(item);
    this.#tell(item, item.entry.problem);
  }

  /** Updates the summary and announces it, with the problem of a conversion that has just ended. */
  #tell(item, problem) {
    this.#summarize();
    announce(`${this.#elements.summary.textContent}.`, problem && `${item.entry.name}: ${problem.detail || problem.title}`);
  }

  /** Shows why there is no result, and what can be done here. */
  #showProblem(item) {
    const { entry } = item;
    const problem = item.job?.error || entry.problem;
    if (!item.job) item.row.problem(item.file ? problem : withoutDocument(problem));
    const lost = entry.secrets?.length > 0 && !item.passwords; // the passwords that were given are not kept
    if (needsPassword(problem) && !lost && this.#chooser.takesPasswords) item.row.askPassword(!item.file);
    else if (!item.job) item.row.canTryAgain = Boolean(item.file && item.problem?.temporary);
  }

  #tick(item) {
    if (!item.job) return;
    if (!ended(item.job)) item.row.tick();
    else if (!item.expired && Date.parse(item.job.expires_at) + afterExpiry < now()) {
      item.expired = true; // ask once
      this.#follower.add(item.entry.id);
    }
  }

  async #cancel(item) {
    try {
      this.#changed(await cancel(item.entry.id));
    } catch (problem) {
      this.#failed(item, problem);
    }
  }

  /** Converts the document again: on the server if it still has the document, otherwise from this tab. */
  async #again(item) {
    if (!item.job) return this.#upload(item);
    try {
      const job = await retry(item.entry.id);
      this.#save(item, { retried: job.generation });
      this.#resume(item, job);
    } catch (problem) {
      if (item.file && needsUpload.includes(problem.code)) this.#uploadAnew(item);
      else this.#failed(item, problem);
    }
  }

  /** Follows a job again that had ended. */
  #resume(item, job) {
    item.job = undefined;
    item.expired = false;
    this.#follow(item, true);
    this.#changed(job);
  }

  async #delete(item) {
    if (!(await confirmDelete(item.entry.name))) return;
    try {
      await remove(item.entry.id);
    } catch (problem) {
      if (!isGone(problem)) return this.#failed(item, problem);
    }
    this.#removeOne(item);
    announce(`${shown(item.entry.name)} was deleted.`);
  }

  /** Shows why a job was not changed. */
  #failed(item, problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (isGone(problem)) this.#gone(item.entry.id, problem);
    else if (problem.code === "job-not-cancelable" && problem.job) this.#changed(problem.job); // it has just ended
    else item.row.note(problem);
  }

  #unlock(item, password, file) {
    if (file) {
      item.file = file;
      item.entry = { ...item.entry, name: file.name, size: file.size };
      item.row.describe(item.entry);
    }
    item.passwords = { ...item.passwords, password };
    this.#uploadAnew(item);
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
    if (ended(job)) this.#follower.remove(job.id); // a repeated submission may have a job that has ended
    const wasSeen = Boolean(item.job);
    item.job = job;
    item.row.job(job);
    if (job.error) this.#showProblem(item);
    if (wasSeen && ended(job)) this.#tell(item, job.error || (job.status === "canceled" && { title: "Canceled" }));
    else this.#summarize();
  }

  #gone(id, problem) {
    const item = this.#byJob.get(id);
    if (!item) return;
    this.#follower.remove(id);
    item.job = undefined;
    item.problem = problem;
    item.row.gone(problem, "No longer available");
    this.#tell(item, problem);
  }

  #isOver(item) {
    return !item.upload && Boolean(item.problem || item.entry.problem || (item.job && ended(item.job)));
  }

  #removeOne(item) {
    const next = item.line.nextElementSibling || item.line.previousElementSibling;
    this.#remove([item]);
    (next?.querySelector(".remove") || document.getElementById("files")).focus(); // the focused button is gone
  }

  #remove(items) {
    for (const item of items) {
      this.#drop(item);
      store.remove(item.entry.key);
    }
    this.#summarize();
  }

  #drop(item) {
    if (item.upload) this.#uploads.cancel(item.upload);
    this.#unfollow(item);
    this.#items.delete(item.entry.key);
    item.line.remove();
  }

  /** Follows what another tab has put into the store, or removed from it. */
  #changedElsewhere(key, entry) {
    const item = this.#items.get(key);
    if (item?.upload) return; // the upload stores the entry again
    if (entry) this.#adopt(entry);
    else if (item) this.#drop(item);
    this.#summarize();
  }

  /** Shows an entry of the store. */
  #adopt(entry) {
    let item = this.#items.get(entry.key);
    if (item && item.entry.id === entry.id && item.entry.retried === entry.retried && item.entry.problem?.code === entry.problem?.code) return;
    if (item) this.#unfollow(item);
    else item = this.#add(entry);
    item.entry = entry;
    item.job = item.problem = undefined;
    item.row.describe(entry);
    if (entry.id) {
      item.row.unknown();
      this.#follow(item, false);
    } else {
      this.#showProblem(item);
    }
  }

  #summarize() {
    const items = [...this.#items.values()];
    const succeeded = items.filter((item) => item.job?.status === "succeeded");
    const over = items.filter((item) => this.#isOver(item)).length;
    const canceled = items.filter((item) => item.job?.status === "canceled").length;
    const gone = items.filter((item) => item.problem && isGone(item.problem)).length;
    const failed = over - succeeded.length - canceled - gone;
    const { work, summary, forget } = this.#elements;
    work.hidden = items.length === 0;
    document.getElementById("home").classList.toggle("used", items.length > 0);
    const words = over < items.length ? `${over} of ${items.length} done` : `${succeeded.length} done`;
    const counts = { failed, canceled, "no longer available": gone };
    summary.textContent = [words, ...Object.entries(counts).filter(([, n]) => n > 0).map(([what, n]) => `${n} ${what}`)].join(", ");
    forget.hidden = over === 0;
    document.title = over < items.length ? `(${over}/${items.length}) Docmill` : "Docmill";
    this.#offerArchives(succeeded, over === items.length);
  }

  /** Links to the archives of all results. The links stay in place, so that they keep the focus. */
  #offerArchives(succeeded, isLast) {
    const { archives } = this.#elements;
    const all = succeeded.length > 1 ? archivePaths(succeeded.sort(byEntry).map((item) => item.entry.id)) : [];
    const paths = all.length === 1 || isLast ? all : []; // the contents of several parts change with each result
    while (archives.children.length > paths.length) archives.lastChild.remove();
    for (const [i, path] of paths.entries()) {
      const archive = archives.children[i] || archives.appendChild(document.createElement("a"));
      archive.className = "button";
      archive.href = path;
      archive.download = "";
      const text = paths.length > 1 ? `Download part ${i + 1} of ${paths.length}` : "Download all";
      if (archive.textContent !== text) archive.textContent = text;
    }
  }
}
