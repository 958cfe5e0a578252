// Tells whether the server can be reached.

export class Link {
  #notice = document.getElementById("link");

  /** Shows the problem of reaching the server, or that there is none any more. */
  show(problem) {
    const text = problem ? `${problem.message || "Docmill is not responding."} Trying again…` : "";
    if (this.#notice.textContent !== text) this.#notice.textContent = text; // it is a live region, and empty if all is well
  }
}
