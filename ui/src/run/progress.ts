// The server's sentences on why a run does not go on, cut into what is read and what can be copied.

export interface ProgressLine {
  text: string;
  /** A command line; empty if it is none. `text` says what it does, then. */
  command: string;
  /** Whether it belongs to the sentence above. */
  isPart: boolean;
}

export function progressLines(progress: string): ProgressLine[] {
  return progress.split("\n").filter((line) => line.trim() !== "").map(lineOf);
}

function lineOf(line: string): ProgressLine {
  const isPart = line.startsWith("  ");
  const command = /^ {2}(keepstep .*?)(?: {3,}(.*))?$/.exec(line);
  if (command) return { command: command[1]!, text: command[2] ?? "", isPart };
  return { command: "", text: isPart ? line.slice(2) : line, isPart };
}
