// Who sits before the browser, as they have said: it stands in histories beside what they decide.

const KEY = "keepstep.name";

export function ownName(): string {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

export function rememberName(name: string): void {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // A browser that keeps nothing for us asks the next time again.
  }
}
