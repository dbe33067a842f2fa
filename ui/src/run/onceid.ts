// Ids of what is sent, so that sending the same again, because no answer came, does nothing twice.

export class OnceId {
  #said = "";
  #id = "";

  /** The same id as before for the same thing, until it is said to be done. */
  of(what: unknown): string {
    const said = JSON.stringify(what);
    if (said !== this.#said || this.#id === "") {
      this.#said = said;
      this.#id = randomId();
    }
    return this.#id;
  }

  done(): void {
    this.#id = "";
  }
}

function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `ui-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
