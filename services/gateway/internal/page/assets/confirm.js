// The question before a conversion is deleted.

import { setName } from "./words.js";

const dialog = document.getElementById("confirm");
const [yes, no] = ["confirm-yes", "confirm-no"].map((id) => document.getElementById(id));

yes.addEventListener("click", () => dialog.close("yes"));
no.addEventListener("click", () => dialog.close("no"));

/** Asks whether to delete a conversion, and resolves with the answer. The dialog gives the focus back. */
export function confirmDelete(name) {
  setName(document.getElementById("confirm-name"), name);
  dialog.returnValue = "no"; // also for the key Escape
  dialog.showModal();
  no.focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
