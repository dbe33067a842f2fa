// Light or dark: as the system has it, until somebody chooses; index.html applies the choice before anything is painted.

export type Theme = "system" | "light" | "dark";

const KEY = "keepstep.theme";
const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

class ThemeChoice {
  theme = $state<Theme>(chosen());

  turn(): void {
    this.theme = NEXT[this.theme];
    if (this.theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = this.theme;
    try {
      localStorage.setItem(KEY, this.theme);
    } catch {
      // A browser that keeps nothing for us shows the choice until the tab is closed.
    }
  }
}

function chosen(): Theme {
  const applied = document.documentElement.dataset["theme"];
  return applied === "light" || applied === "dark" ? applied : "system";
}

export const themeChoice = new ThemeChoice();
