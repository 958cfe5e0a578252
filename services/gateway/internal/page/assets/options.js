// The form of a conversion: the formats to convert to, and the options that apply, from GET /v1/formats.

import { capital, labelOf } from "./words.js";

// The options that have their own controls on the page, and those that only programs need.
const elsewhere = ["to", "tag", "password", "callback_url", "callback_events"];

const families = { presentation: "Presentations", text: "Text documents", spreadsheet: "Spreadsheets", drawing: "Drawings" };

function applies(option, formats, to) {
  return (!option.targets || option.targets.includes(to)) && (!option.families || formats.some((f) => option.families.includes(f.family)));
}

export class OptionsForm {
  #known;
  #values = new Map(); // of the options that were changed, by name; they stay while an option does not apply
  #formats = [];
  #elements;

  constructor() {
    this.#elements = {
      to: document.getElementById("to"),
      groups: document.getElementById("option-groups"),
      all: document.getElementById("options"),
      set: document.getElementById("options-set"),
    };
    this.#elements.to.addEventListener("change", () => this.#showOptions());
    // A browser can only show the error of a field that is visible.
    this.#elements.all.addEventListener("invalid", () => (this.#elements.all.open = true), true);
  }

  set known(formats) {
    this.#known = formats;
  }

  /** The format of a document with that extension; undefined if no format has it. */
  formatOf(extension) {
    return this.#known?.formats.find((f) => f.extensions.includes(extension));
  }

  get to() {
    return this.#elements.to.value || "pdf";
  }

  /** Shows what documents of these formats can be converted to, and the options that apply to any of them. Without a format, those are the options for all documents. */
  show(formats) {
    this.#formats = formats;
    const [first, ...others] = formats.length > 0 ? formats : this.#known?.formats || [];
    const targets = (first?.targets || []).filter((t) => others.every((f) => f.targets.some((o) => o.format === t.format)));
    const chosen = targets.some((t) => t.format === this.to) ? this.to : targets[0]?.format;
    this.#elements.to.replaceChildren(...targets.map((t) => new Option(`${t.title} (${t.format})`.replace("PDF (pdf)", "PDF"), t.format, false, t.format === chosen)));
    this.#showOptions();
  }

  /** The options to send with a document of that format, and the names of those that are secret. */
  fields(format) {
    const fields = {};
    const secrets = [];
    for (const option of this.#known?.options || []) {
      const value = this.#values.get(option.name);
      if (value === undefined || !applies(option, format ? [format] : [], this.to)) continue;
      fields[option.name] = value;
      if (option.kind === "secret") secrets.push(option.name);
    }
    return { fields, secrets };
  }

  #showOptions() {
    const groups = new Map();
    for (const option of this.#known?.options || []) {
      if (elsewhere.includes(option.name) || !applies(option, this.#formats, this.to)) continue;
      const title = this.#group(option);
      if (!groups.has(title)) groups.set(title, []);
      groups.get(title).push(this.#field(option));
    }
    this.#elements.groups.replaceChildren(
      ...[...groups].map(([title, fields]) => {
        const group = document.createElement("fieldset");
        const legend = document.createElement("legend");
        legend.textContent = title;
        group.append(legend, ...fields);
        return group;
      }),
    );
    this.#elements.all.hidden = groups.size === 0;
    this.#count();
  }

  #group(option) {
    if (option.families) return option.families.map((f) => families[f] || capital(f)).join(", ");
    if (option.targets?.length === 1) return this.#elements.to.selectedOptions[0]?.text || option.targets[0];
    return "All documents";
  }

  #field(option) {
    const field = document.createElement("div");
    const label = document.createElement("label");
    const hint = document.createElement("p");
    const input = this.#input(option);
    input.id = `option-${option.name}`;
    hint.id = `hint-${option.name}`;
    hint.className = "hint";
    hint.textContent = option.description;
    input.setAttribute("aria-describedby", hint.id);
    label.htmlFor = input.id;
    field.className = input.type === "checkbox" ? "field check" : "field";
    label.append(labelOf(option.name));
    field.append(...(input.type === "checkbox" ? [input, label] : [label, input]), hint);
    input.addEventListener("change", () => {
      const value = input.type === "checkbox" ? String(input.checked) : option.kind === "secret" ? input.value : input.value.trim();
      if (value === "" || value === option.default) this.#values.delete(option.name);
      else this.#values.set(option.name, value);
      this.#count();
    });
    return field;
  }

  /** The control of an option, with its current value. */
  #input(option) {
    const value = this.#values.get(option.name) ?? option.default ?? "";
    const choices = option.kind === "boolean" && !option.default ? ["true", "false"] : option.allowed;
    if (choices) {
      const names = { true: "Yes", false: "No" };
      const select = document.createElement("select");
      const first = new Option("Default", "", false, value === "");
      select.append(first, ...choices.map((c) => new Option(names[c] || capital(c), c, false, c === value)));
      return select;
    }
    const input = document.createElement("input");
    switch (option.kind) {
      case "boolean":
        input.type = "checkbox";
        input.checked = value === "true";
        return input;
      case "integer":
        input.type = "number";
        input.min = option.minimum ?? "";
        input.max = option.maximum ?? "";
        break;
      case "secret":
        input.type = "password";
        input.autocomplete = "new-password";
        break;
      default:
        input.type = "text";
        input.autocomplete = "off";
    }
    if (option.max_length) input.maxLength = option.max_length;
    input.value = value;
    return input;
  }

  #count() {
    const set = this.#elements.groups.querySelectorAll("[id^=option-]");
    const n = [...set].filter((input) => this.#values.has(input.id.slice("option-".length))).length;
    this.#elements.set.textContent = n > 0 ? `${n} set` : "";
  }
}
