// Tells whether the server can be reached.

export class Link {
  #notice = document.getElementById("link");

  /** Shows the problem of reaching the server, or that there is none any more. */
  show(problem) {
    const text = problem ? `${problem.message || "Docmill does not answer."} Trying again…` : "";
    if (this.#notice.textContent !== text) this.#notice.textContent = text;
    this.#notice.hidden = !problem;
  }
}
