// A conversion as it is shown in the list, and on its own page.

import { now, pagePath, resultPath } from "./api.js";
import { ended } from "./follow.js";
import { announce, duration, elapsed, expiryOf, extension, factsOf, labelOf, setName, shown, size, stateOf, textOf, warnings } from "./words.js";

const passwordCodes = ["password-required", "password-wrong"];

/**
 * Whether to offer to convert the document of a job again. A person may know that the cause of a failure is gone: the operator has raised a
 * limit, or installed what was missing. If the server no longer has the document, or the job was retried too often, it says so. But
 * without the document, or with the same wrong password, the job can only fail again; and beside the field for the right password,
 * people would mistake the button for the one that sends it.
 */
const mayRetry = (job) => job.status === "canceled" || (job.status === "failed" && ![...passwordCodes, "source-missing"].includes(job.error?.code));

/** Whether a retry is likely to help. If so, it is the main action. */
const isLikelyToHelp = (job) => job.status === "canceled" || Boolean(job.error?.retryable);

const goneWords = { "job-deleted": "Deleted", "job-expired": "Expired" };

export const needsPassword = (problem) => passwordCodes.includes(problem?.code);

/** The tile with the extension of a document. */
export function setTile(tile, name, family) {
  tile.textContent = extension(name).slice(0, 4) || "?";
  if (family) tile.dataset.family = family;
}

/** The family of documents with a media type. `formats` are those of GET /v1/formats. */
export const familyOf = (formats, mediaType) => formats.find((f) => f.media_type === mediaType)?.family;

export class Row {
  #job = null;
  #gavePassword = false;
  #on;
  #parts;

  /**
   * `on` has the functions that are called for the buttons: onRemove, onCancel, onAgain, onDelete, onPassword(password, file). Those for
   * onCancel, onAgain and onDelete may return a promise; the button is disabled until it is settled.
   */
  constructor(on = {}) {
    this.element = document.getElementById("row").content.firstElementChild.cloneNode(true);
    const find = (selector) => this.element.querySelector(selector);
    this.#parts = {
      tile: find(".tile"), name: find(".name"), to: find(".to"), words: find(".words"), facts: find(".facts"), progress: find("progress"),
      problem: find(".problem"), detail: find(".detail"), errors: find(".problem ul"), remedy: find(".remedy"), warnings: find(".warnings"),
      password: find(".password"), fileField: find(".file-field"), file: find("[type=file]"), secret: find("[type=password]"),
      expires: find(".expires"), note: find(".note"), cancel: find(".cancel"), erase: find(".delete"),
      again: find(".again"), download: find(".download"), copy: find(".copy"), remove: find(".remove"),
    };
    this.#parts.remove.hidden = !on.onRemove;
    this.#parts.remove.addEventListener("click", () => on.onRemove());
    this.#on = on;
    this.#act(this.#parts.cancel, () => on.onCancel());
    this.#act(this.#parts.again, () => on.onAgain());
    this.#act(this.#parts.erase, () => on.onDelete());
    this.#parts.password.addEventListener("submit", (e) => {
      e.preventDefault();
      const secret = this.#parts.secret.value;
      this.#parts.secret.value = "";
      this.#gavePassword = true;
      on.onPassword(secret, this.#parts.file.files[0]);
      this.#parts.remove.focus(); // the form is hidden now
    });
  }

  /** Makes a button do something, one click at a time. If that hides the button, the focus moves to another one. */
  #act(button, action) {
    button.addEventListener("click", async () => {
      if (button.hasAttribute("aria-disabled")) return;
      this.#parts.note.hidden = true;
      button.setAttribute("aria-disabled", "true"); // a disabled button would lose the focus
      try {
        await action();
      } finally {
        button.removeAttribute("aria-disabled");
        if (button.hidden && [button, document.body, null].includes(document.activeElement)) this.focus();
      }
    });
  }

  /** Focuses the first button that is shown. */
  focus() {
    const { cancel, again, download, remove, copy, name } = this.#parts;
    ([cancel, again, download, remove, copy].find((button) => !button.hidden) || name).focus();
  }

  /** Shows why the action of a button has failed. */
  note(problem) {
    const remedy = textOf(problem.code)?.remedy || problem.remedy || "";
    const text = shown(`${problem.detail || problem.message || problem.title || "The request failed."} ${remedy}`);
    this.#parts.note.textContent = text;
    this.#parts.note.hidden = false;
    if (problem.code === "job-not-retryable") this.#parts.again.hidden = true;
    announce(text);
  }

  /** Names the document. The name links to the page of its job, once there is one. */
  describe({ name, to, id, family }) {
    const p = this.#parts;
    setName(p.name, name);
    if (id) p.name.href = pagePath(id);
    else p.name.removeAttribute("href");
    p.to.textContent = `to ${shown(to).toUpperCase()}`;
    setTile(p.tile, name, family);
    const label = shown(name);
    if (id) p.name.setAttribute("aria-label", label); // the text is split into two elements
    else p.name.removeAttribute("aria-label"); // only links may have it
    p.progress.setAttribute("aria-label", `Progress of ${label}`);
    p.remove.setAttribute("aria-label", `Remove ${label}`);
    p.again.setAttribute("aria-label", `Try again: ${label}`);
    p.cancel.setAttribute("aria-label", `Cancel the conversion of ${label}`);
    p.erase.setAttribute("aria-label", `Delete ${label} and its result`);
    p.download.setAttribute("aria-label", `Download the result of ${label}`);
    p.password.setAttribute("aria-label", `Password of ${label}`);
  }

  uploading(state) {
    this.#job = null;
    this.#state("uploading");
    this.#parts.note.hidden = true;
    this.#facts([]);
    const waits = state.problem;
    const percent = Math.floor((state.fraction || 0) * 100);
    if (waits) this.#words(`${waits.status ? waits.message : "No connection to Docmill."} Trying again…`);
    else if (state.fraction === undefined) this.#words("Waiting to be uploaded");
    else this.#words(percent < 100 ? "Uploading" : "Checking the document");
    if (!waits && percent < 100 && state.fraction !== undefined) this.#facts([`${percent}%`]);
    this.#progress(waits || state.fraction === undefined ? 0 : percent);
  }

  /** Shows that the state of a job is not known yet. */
  unknown() {
    this.#state("unknown");
    this.#words("Checking status");
    this.#progress(null);
  }

  job(job) {
    const p = this.#parts;
    this.#job = job;
    this.#state(job.status);
    this.#words(stateOf(job));
    if (ended(job)) this.#progress(undefined);
    else this.#progress(job.progress ? job.progress.percent : 0);
    this.tick();
    p.cancel.hidden = ended(job) || !this.#on.onCancel;
    p.erase.hidden = !ended(job) || !this.#on.onDelete;
    const expiry = expiryOf(job);
    p.expires.textContent = expiry && `will be deleted on ${expiry}`;
    p.download.hidden = job.status !== "succeeded";
    if (job.status === "succeeded") {
      p.download.href = resultPath(job.id);
      p.download.title = `${shown(job.result.filename)}, ${size(job.result.size)}`;
    }
    this.#warnings(warnings(job));
    if (job.error) this.problem(job.error, "Failed", false);
    this.#offerAgain(Boolean(this.#on.onAgain) && mayRetry(job), isLikelyToHelp(job));
  }

  #offerAgain(can, isMain) {
    const { again } = this.#parts;
    again.hidden = !can;
    again.classList.toggle("button", isMain);
    again.classList.toggle("quiet", !isMain);
  }

  /** Shows that there is no such job, or no longer. */
  gone(problem, words) {
    this.#job = null;
    this.problem(problem, goneWords[problem.code] || words);
    if (goneWords[problem.code]) this.element.dataset.state = "gone";
    this.#parts.copy.hidden = true;
  }

  /** Shows why there is no result: the error of a job that is already shown or, with `anew`, the problem of a request. */
  problem(problem, words = "Not accepted", anew = true) {
    const p = this.#parts;
    if (needsPassword(problem)) words = problem.code === "password-wrong" ? "Wrong password" : "Password needed";
    if (!this.#job) this.#facts([]);
    if (anew) this.#state("failed");
    this.#words(words);
    this.#progress(undefined);
    p.problem.hidden = false;
    p.detail.textContent = shown(problem.detail || problem.message || problem.title || "");
    const errors = (problem.errors || []).map((e) => {
      const item = document.createElement("li");
      item.textContent = shown(`${labelOf(e.name)}: ${e.detail}`);
      return item;
    });
    p.errors.replaceChildren(...errors);
    p.errors.hidden = errors.length === 0;
    const trace = problem.code === "internal" && problem.trace ? ` Trace ID: ${problem.trace}` : "";
    p.remedy.textContent = shown(textOf(problem.code)?.remedy || problem.remedy || "") + trace;
  }

  /** Offers to enter a password; `withFile` is whether the document has to be chosen again. */
  askPassword(withFile) {
    const { password, fileField, file, secret } = this.#parts;
    password.hidden = false;
    fileField.hidden = !withFile;
    file.required = withFile;
    if (this.#gavePassword && this.element.contains(document.activeElement)) secret.focus(); // it was wrong
    this.#gavePassword = false;
  }

  set canTryAgain(can) {
    this.#offerAgain(can, true);
  }

  /** Offers to copy the address of the job. Browsers allow that only on HTTPS and localhost. */
  offerCopy() {
    const { copy } = this.#parts;
    if (!navigator.clipboard) return;
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(location.href);
        copy.textContent = "Link copied";
      } catch {
        copy.textContent = "Not allowed";
      }
    });
  }

  /** Updates the elapsed time. */
  tick() {
    if (this.#job) this.#facts([...factsOf(this.#job), duration(elapsed(this.#job, now()))]);
  }

  #facts(facts) {
    this.#parts.facts.textContent = facts.join(" · ");
  }

  #state(state) {
    const p = this.#parts;
    this.element.dataset.state = state;
    p.problem.hidden = true;
    p.password.hidden = true;
    p.again.hidden = true;
    p.cancel.hidden = true;
    p.erase.hidden = true;
    p.expires.textContent = "";
    p.download.hidden = true;
    p.warnings.hidden = true;
  }

  #words(words) {
    if (this.#parts.words.textContent !== words) this.#parts.words.textContent = words;
  }

  /** Sets the bar: null is an unknown part, undefined hides it. */
  #progress(percent) {
    const { progress } = this.#parts;
    progress.hidden = percent === undefined;
    if (percent === null || percent === undefined) progress.removeAttribute("value");
    else progress.value = percent;
  }

  #warnings(all) {
    this.#parts.warnings.hidden = all.length === 0;
    this.#parts.warnings.replaceChildren(
      ...all.map(({ what, remedy }) => {
        const item = document.createElement("li");
        const mend = document.createElement("span");
        mend.className = "soft";
        mend.textContent = ` ${remedy}`;
        item.append(shown(what), mend);
        return item;
      }),
    );
  }
}
