/** Tells how far a run has come: on a terminal in one line that changes, elsewhere by one line for each part. */

export class Progress {
  readonly #begin = performance.now();
  readonly #isTerminal = process.stdout.isTTY;
  #part = "";
  #steps = 0;
  #done = 0;

  /** A part of the run begins. */
  part(name: string, steps: number): void {
    this.#clear();
    [this.#part, this.#steps, this.#done] = [name, steps, 0];
    if (!this.#isTerminal) console.log(`${this.#minutes()} ${name}`);
  }

  /** One step of the part is about to be done. */
  step(what: string): void {
    this.#done++;
    if (!this.#isTerminal) return;
    this.#clear();
    const width = 20;
    const filled = Math.round((this.#done / this.#steps) * width);
    const bar = "#".repeat(filled).padEnd(width, ".");
    process.stdout.write(`${this.#minutes()} ${this.#part} [${bar}] ${this.#done}/${this.#steps} ${what}`);
  }

  /** Something that is to stay on the screen. */
  note(text: string): void {
    this.#clear();
    console.log(text);
  }

  /** Seconds since the start. */
  end(): number {
    this.#clear();
    return (performance.now() - this.#begin) / 1_000;
  }

  #clear(): void {
    if (this.#isTerminal) process.stdout.write("\r\u001b[K");
  }

  #minutes(): string {
    const seconds = Math.floor((performance.now() - this.#begin) / 1_000);
    return `${String(Math.floor(seconds / 60)).padStart(2)}:${String(seconds % 60).padStart(2, "0")}`;
  }
}
