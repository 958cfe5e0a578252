// The page of one job, whose address can be shared.

import { Problem, cancel, formats, isGone, now, remove, retry } from "./api.js";
import { confirmDelete } from "./confirm.js";
import { Follower, ended } from "./follow.js";
import { Link } from "./link.js";
import { Row, familyOf } from "./row.js";
import { announce, count, duration, expiryOf, labelOf, setName, shown, size, stateOf } from "./words.js";

const steps = { queued: "in the queue", fetch: "to fetch", load: "to open", export: "to convert", store: "to save" };

/** How long after its expiry a job is requested again, in milliseconds. */
const afterExpiry = 2000;

export class JobPage {
  #row = new Row({
    onCancel: () => this.#change(cancel), onAgain: () => this.#change(retry), onDelete: () => this.#delete(),
  });
  #follower;
  #title = document.getElementById("job-title");
  #job;
  #formats = [];
  #expired = false;

  constructor(segment) {
    this.#row.element.querySelector(".download").classList.add("primary");
    document.getElementById("job").hidden = false;
    this.#title.textContent = "Conversion";
    this.#row.unknown();
    document.getElementById("job-card").append(this.#row.element);
    const link = new Link();
    this.#follower = new Follower({
      onJob: (job) => this.#show(job), onGone: (_, problem) => this.#gone(problem), onLink: (problem) => link.show(problem),
    });
    this.#follower.add(segment);
    formats().then((known) => this.#color(known.formats), () => {}); // it is only a color
    setInterval(() => this.#tick(), 1000);
  }

  #tick() {
    if (!this.#job) return;
    if (!ended(this.#job)) this.#row.tick();
    else if (!this.#expired && Date.parse(this.#job.expires_at) + afterExpiry < now()) {
      this.#expired = true; // ask once
      this.#follower.add(this.#job.id);
    }
  }

  /** Cancels or retries the job. */
  async #change(request) {
    const { id } = this.#job;
    try {
      const job = await request(id);
      this.#show(job);
      if (!ended(job)) this.#follower.add(id, true);
    } catch (problem) {
      this.#failed(problem);
    }
  }

  async #delete() {
    const { id, source } = this.#job;
    if (!(await confirmDelete(source.filename))) return;
    try {
      await remove(id);
      this.#gone(new Problem(410, { code: "job-deleted", title: "The job was deleted", detail: "The document and the result were deleted." }));
      announce(`${shown(source.filename)} was deleted.`);
    } catch (problem) {
      this.#failed(problem);
    }
  }

  /** Shows why the job was not changed. */
  #failed(problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (isGone(problem)) this.#gone(problem);
    else if (problem.code === "job-not-cancelable" && problem.job) this.#show(problem.job); // it has just ended
    else this.#row.note(problem);
  }

  #show(job) {
    if (!this.#job) this.#row.offerCopy();
    if (!ended(job)) this.#expired = false;
    this.#job = job;
    setName(this.#title, job.source.filename);
    this.#describe();
    this.#row.job(job);
    document.title = `${shown(job.source.filename)} · Docmill`;
    if (ended(job)) announce(`${job.source.filename}: ${stateOf(job)}`);
    this.#details(job);
  }

  #describe() {
    const { source, target } = this.#job;
    this.#row.describe({ name: source.filename, to: target.format, family: familyOf(this.#formats, source.content_type) });
  }

  #color(known) {
    this.#formats = known;
    if (this.#job) this.#describe();
  }

  #gone(problem) {
    this.#job = undefined;
    document.getElementById("details").hidden = true;
    this.#title.textContent = problem.title || "This conversion cannot be shown";
    document.title = `${this.#title.textContent} · Docmill`;
    this.#row.gone(problem, "No such job");
  }

  #details(job) {
    const report = job.report || { seconds: {}, fonts: [], blocked_links: [] };
    const at = (time) => time && new Date(time).toLocaleString();
    const took = Object.entries(steps).filter(([step]) => report.seconds[step] !== undefined)
      .map(([step, words]) => `${duration(report.seconds[step] * 1000)} ${words}`);
    const replaced = (f) => `replaced by ${f.replaced_by}${f.same_metrics ? ", which has the same widths" : ""}`;
    const fonts = report.fonts.map((f) => (f.found ? f.name : `${f.name} (${f.replaced_by ? replaced(f) : "not installed"})`));
    const more = report.blocked_links_total - report.blocked_links.length;
    const missing = [...(report.missing_characters || "")];
    const moreMissing = report.missing_characters_total - missing.length;
    const facts = {
      Document: `${job.source.filename}, ${size(job.source.size)}`,
      Options: Object.entries(job.target.options || {}).map(([name, value]) => `${labelOf(name)}: ${value}`).join(", "),
      Label: job.tag,
      Result: job.result && [job.result.filename, size(job.result.size), ...(job.result.pages ? [count(job.result.pages, "page", "pages")] : [])].join(", "),
      Submitted: at(job.created_at),
      Finished: at(job.finished_at),
      "Deleted on": expiryOf(job),
      Retries: job.generation ? String(job.generation) : "",
      Attempts: job.attempt > 1 ? String(job.attempt) : "",
      Time: took.join(", "),
      Conversion: report.cached ? "None: the result is a copy of an earlier one" : "",
      Fonts: fonts.join(", "),
      "Missing characters": missing.concat(moreMissing > 0 ? [`and ${moreMissing} more`] : []).join(" "),
      "Blocked links": report.blocked_links.concat(more > 0 ? [`and ${more} more`] : []).join(", "),
      Engine: report.engine,
      ID: job.id,
    };
    const list = document.querySelector("#details dl");
    list.replaceChildren(...Object.entries(facts).filter(([, value]) => value).map(([name, value]) => {
      const fact = document.createElement("div");
      const term = document.createElement("dt");
      const description = document.createElement("dd");
      term.textContent = name;
      description.textContent = shown(value);
      fact.append(term, description);
      return fact;
    }));
    document.getElementById("details").hidden = false;
  }
}
