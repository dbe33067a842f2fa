// Whether the window is as narrow as a phone's: rows are higher then. The same width stands in the styles.

import { MediaQuery } from "svelte/reactivity";

export const narrow = new MediaQuery("(max-width: 720px)");
