// Choosing documents: by dropping them anywhere on the page or with the file dialog, and then how to convert them.

import * as api from "./api.js";
import { OptionsForm } from "./options.js";
import { familyOf, setTile } from "./row.js";
import { count, extension, setName, shown, size, textOf } from "./words.js";

const maxChosen = 1000;

export class Chooser {
  #chosen = []; // {file, element}
  #options = new OptionsForm();
  #known;
  #onConvert;
  #elements = {};

  /** `onConvert` gets the chosen documents: {file, to, family, fields, secrets, problem}. */
  constructor(onConvert) {
    this.#onConvert = onConvert;
    for (const id of ["drop", "files", "limits", "skipped", "chosen", "chosen-title", "chosen-files", "clear", "convert"]) this.#elements[id] = document.getElementById(id);
    const { files, clear, chosen } = this.#elements;
    files.addEventListener("change", () => {
      this.#add([...files.files]);
      files.value = ""; // the same file may be chosen again
    });
    clear.addEventListener("click", () => {
      this.#clear();
      files.focus();
    });
    chosen.addEventListener("submit", (e) => {
      e.preventDefault();
      this.#convert();
    });
    this.#acceptDrops();
    this.#loadFormats();
  }

  /** Whether the server can be given passwords. */
  get takesPasswords() {
    return !this.#known || this.#known.options.some((o) => o.name === "password");
  }

  /** The family of documents with a media type. */
  familyOf(mediaType) {
    return familyOf(this.#known?.formats || [], mediaType);
  }

  async #loadFormats() {
    const { limits } = this.#elements;
    for (;;) {
      try {
        const known = await api.formats();
        if (known.formats.length > 0) {
          this.#known = this.#options.known = known;
          const first = known.formats.filter((f, i, all) => all.findIndex((other) => other.family === f.family) === i);
          const names = first.map((f) => f.format.toUpperCase()).join(", ");
          limits.textContent = `${names} and ${known.formats.length - first.length} more formats, up to ${size(known.max_upload_size)} each`;
          this.#show();
          return;
        }
        limits.textContent = "No converter is running yet. You can already choose documents.";
      } catch (problem) {
        limits.textContent = `${problem.message} Trying again…`;
      }
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }

  #acceptDrops() {
    const { drop } = this.#elements;
    const hasFiles = (e) => e.dataTransfer.types.includes("Files");
    addEventListener("dragover", (e) => {
      if (!hasFiles(e)) return;
      e.preventDefault();
      e.dataTransfer.dropEffect = "copy";
      drop.classList.add("over");
    });
    addEventListener("dragleave", (e) => {
      if (!e.relatedTarget) drop.classList.remove("over"); // it has left the window
    });
    addEventListener("drop", async (e) => {
      if (!hasFiles(e)) return;
      e.preventDefault();
      drop.classList.remove("over");
      // The browser empties the list after the event.
      const entries = [...e.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
      const files = [...e.dataTransfer.files];
      if (!entries.some((entry) => entry.isDirectory)) this.#add(files);
      else {
        const found = await filesOf(entries);
        this.#add(found.files, found.unreadable);
      }
    });
  }

  #add(files, unreadable = 0) {
    const { "chosen-files": list, skipped } = this.#elements;
    const room = maxChosen - this.#chosen.length;
    skipped.textContent = [
      ...(unreadable > 0 ? [`${count(unreadable, "file or folder", "files or folders")} could not be read.`] : []),
      ...(files.length > room ? [`Only the first ${count(maxChosen, "document was", "documents were")} added.`] : []),
    ].join(" ");
    for (const file of files.slice(0, room)) {
      const element = document.getElementById("file").content.firstElementChild.cloneNode(true);
      const one = { file, element };
      setName(element.querySelector(".name"), file.name);
      const remove = element.querySelector(".remove");
      remove.setAttribute("aria-label", `Remove ${shown(file.name)}`);
      remove.addEventListener("click", () => this.#remove(one));
      list.append(element);
      this.#chosen.push(one);
    }
    this.#show();
    if (files.length > 0) this.#elements.convert.focus();
  }

  #remove(one) {
    const next = one.element.nextElementSibling || one.element.previousElementSibling;
    one.element.remove();
    this.#chosen = this.#chosen.filter((other) => other !== one);
    this.#show();
    (next?.querySelector(".remove") || this.#elements.files).focus();
  }

  #clear() {
    this.#chosen = [];
    this.#elements.skipped.textContent = "";
    this.#elements["chosen-files"].replaceChildren();
    this.#show();
  }

  #show() {
    const { chosen, convert } = this.#elements;
    const formats = this.#chosen.map((one) => this.#options.formatOf(extension(one.file.name)));
    for (const [i, { file, element }] of this.#chosen.entries()) {
      setTile(element.querySelector(".tile"), file.name, formats[i]?.family);
      const kind = this.#known ? formats[i]?.title || "Recognized by its content" : "";
      element.querySelector(".kind").textContent = [kind, size(file.size)].filter(Boolean).join(" · ");
    }
    this.#options.show([...new Set(formats.filter(Boolean))]);
    chosen.hidden = this.#chosen.length === 0;
    convert.textContent = this.#chosen.length > 1 ? `Convert ${count(this.#chosen.length, "document", "documents")}` : "Convert";
  }

  #convert() {
    const { to } = this.#options;
    const ready = this.#chosen.map(({ file }) => {
      const format = this.#options.formatOf(extension(file.name));
      return { file, to, family: format?.family, ...this.#options.fields(format), problem: refusal(file, this.#known?.max_upload_size) };
    });
    this.#clear();
    this.#onConvert(ready);
    this.#elements.files.focus();
  }
}

/** The problem of a document that the server would refuse, so that it is not sent; undefined if there is none. */
function refusal(file, maxSize) {
  if (file.size === 0) return { code: "file-empty", detail: `${textOf("file-empty").title}.` };
  if (maxSize && file.size > maxSize) return { code: "file-too-large", detail: `The document is ${size(file.size)}; the maximum is ${size(maxSize)}.` };
  return undefined;
}

/** The files in dropped directories, and how many entries could not be read. It stops when it has found more than the maximum. */
async function filesOf(dropped) {
  const files = [];
  let unreadable = 0;
  for (let entries = dropped; entries.length > 0 && files.length <= maxChosen; ) {
    const [entry, ...others] = entries;
    entries = others;
    try {
      if (entry.isFile) files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
      else entries = (await entriesOf(entry)).concat(others);
    } catch {
      unreadable++;
    }
  }
  return { files, unreadable };
}

async function entriesOf(directory) {
  const reader = directory.createReader();
  const all = [];
  for (;;) { // each call returns a part
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0 || all.length > maxChosen) return all;
    all.push(...some);
  }
}
