// Keys: each page says what its keys do, and the overlay behind `?` shows just those. Fields get what is typed in them.

import { untrack } from "svelte";

export interface Key {
  key: string;
  does: string;
  run: () => void;
}

class Keys {
  /** The keys of the whole app come first, then the page's. */
  groups = $state.raw<readonly (readonly Key[])[]>([]);

  /** For as long as an effect lives: `$effect(() => keys.add([...]))`. */
  add(group: readonly Key[]): () => void {
    this.groups = [...untrack(() => this.groups), group];
    return () => (this.groups = this.groups.filter((each) => each !== group));
  }

  press(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
    if (isTyping(event.target) || isOwn(event) || document.querySelector("dialog[open]")) return;
    const found = this.groups.flat().find((each) => each.key === event.key);
    if (!found) return;
    event.preventDefault();
    found.run();
  }
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Enter on a link or a button is theirs. */
function isOwn(event: KeyboardEvent): boolean {
  return event.key === "Enter" && event.target instanceof Element && event.target.closest("a, button, summary") !== null;
}

export const keys = new Keys();
