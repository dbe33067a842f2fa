// A Python traceback, taken apart: where it was raised, and the way there.

export interface Frame {
  file: string;
  line: number;
  function: string;
  source: string;
  /** Code of a library, which is not what somebody looks for. */
  isForeign: boolean;
}

const FRAME = /^ {2}File "(.*)", line (\d+)(?:, in (.*))?$/;
const FOREIGN = /[/\\](?:site-packages|dist-packages|lib[/\\]python[\d.]+|keepstep[/\\](?:worker|runtime|sync))[/\\]|^<frozen /;

/** The frames, the outermost first. Empty for a text that is none. */
export function framesOf(traceback: string): Frame[] {
  const frames: Frame[] = [];
  for (const line of traceback.split("\n")) {
    const found = FRAME.exec(line);
    const last = frames.at(-1);
    if (found) {
      frames.push({ file: found[1]!, line: Number(found[2]), function: found[3] ?? "", source: "", isForeign: FOREIGN.test(found[1]!) });
    } else if (last && last.source === "" && line.startsWith("    ")) {
      last.source = line.trim();
    }
  }
  return frames;
}

/** The frame that says most: the innermost of the code that is not a library's. */
export function placeOf(frames: readonly Frame[]): Frame | null {
  return frames.findLast((each) => !each.isForeign) ?? frames.at(-1) ?? null;
}
