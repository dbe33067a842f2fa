// A run as one HTML file that stands alone: no script, nothing that is loaded from anywhere, and readable in ten years.

import type { Failure, HistoryEvent, RunDetail, Span } from "../api/types.ts";
import { barsOf } from "../run/spans.ts";
import { durationWords, preciseWords, timeOf } from "../words/time.ts";

export interface Told {
  run: RunDetail;
  spans: readonly Span[];
  events: readonly HistoryEvent[];
  /** When it was read; milliseconds. */
  now: number;
}

export function reportOf({ run, spans, events, now }: Told): string {
  const started = timeOf(run.started_at);
  const ended = run.closed_at ? timeOf(run.closed_at) : now;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(run.id)} · Keepstep</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escaped(run.id)} <span class="${escaped(run.status)}">${escaped(run.condition || run.status)}</span></h1>
<dl>
${fact("Type", run.version ? `${run.type} ${run.version}` : run.type)}
${fact("Run id", run.run_id)}
${fact("Namespace", run.namespace)}
${fact("Queue", run.queue)}
${fact("Started", preciseWords(started))}
${run.closed_at ? fact("Ended", preciseWords(ended)) : ""}
${fact("Duration", durationWords(ended - started))}
${run.status_text ? fact("Says", run.status_text) : ""}
${Object.entries(run.attributes).map(([name, value]) => fact(name, shown(value))).join("\n")}
</dl>
<pre>${escaped(run.progress)}</pre>
${"input" in run ? part("Input", json(run.input)) : ""}
${"result" in run ? part("Result", json(run.result)) : ""}
${run.failure ? failures(run.failure) : ""}
<h2>Timeline</h2>
${timeline(spans, now)}
<h2>Events</h2>
${missing(events, run.events)}
<table class="events">
<thead><tr><th>#</th><th>Time</th><th>Type</th><th>Key</th><th>Data</th></tr></thead>
<tbody>
${events.map(row).join("\n")}
</tbody>
</table>
<footer>Read from Keepstep at ${escaped(preciseWords(now))}, by the clock of whoever has saved it.</footer>
</main>
</body>
</html>
`;
}

/** A text as it stands in HTML, also within quotes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** The name of the file: of the id what every system takes. */
export function fileName(id: string): string {
  return `${id.replace(/[^\w.-]+/g, "-").replace(/^[-.]+|-+$/g, "").slice(0, 80) || "run"}.html`;
}

function fact(name: string, value: string): string {
  return `<div><dt>${escaped(name)}</dt><dd>${escaped(value)}</dd></div>`;
}

function part(title: string, text: string): string {
  return `<h2>${escaped(title)}</h2>\n<pre>${escaped(text)}</pre>`;
}

/** An error, and what has caused it, each with its traceback. */
function failures(failure: Failure | string): string {
  const parts: string[] = [];
  let next: Failure | string | null | undefined = failure;
  while (next && parts.length < CAUSES_MAX) {
    const title = parts.length ? `Cause ${parts.length}` : "Error";
    parts.push(part(title, typeof next === "string" ? next : next.traceback || `${next.type ?? ""}: ${next.message ?? ""}`));
    next = typeof next === "string" ? null : next.cause;
  }
  return parts.join("\n");
}

const CAUSES_MAX = 20;
const json = (value: unknown): string => JSON.stringify(value, null, 2) ?? "null";
const shown = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

function missing(events: readonly HistoryEvent[], total: number): string {
  if (events.length >= total) return "";
  return `<p>The last ${events.length.toLocaleString("en")} of ${total.toLocaleString("en")} events.</p>`;
}

function row({ seq, time, type, key, data }: HistoryEvent): string {
  const cells = [String(seq), preciseWords(timeOf(time)), type, key ?? "", Object.keys(data).length ? JSON.stringify(data) : ""];
  return `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join("")}</tr>`;
}

/** One line for each span, along the time from the first to the last. */
function timeline(spans: readonly Span[], now: number): string {
  const bars = barsOf(spans, now);
  const from = Math.min(...bars.map((bar) => bar.from));
  const whole = Math.max(...bars.map((bar) => bar.to)) - from || 1;
  const lines = bars.map((bar) => {
    const left = ((bar.from - from) / whole) * 100;
    const width = Math.max(((bar.to - bar.from) / whole) * 100, 0.3);
    const { span } = bar;
    const outcome = bar.isOpen ? "open" : span.outcome;
    const bad = span.error !== null || /fail|timed/.test(span.outcome) ? " bad" : "";
    return `<tr><td>${escaped(span.kind)}</td><td>${escaped(span.name)}</td><td class="bar"><svg viewBox="0 0 100 10" preserveAspectRatio="none"><rect x="${left.toFixed(2)}" width="${width.toFixed(2)}" height="10" class="span${bad}"/></svg></td><td>${escaped(durationWords(bar.to - bar.from))}</td><td>${escaped(outcome)}${span.error ? `: ${escaped(span.error)}` : ""}</td></tr>`;
  });
  return bars.length ? `<table>\n<tbody>\n${lines.join("\n")}\n</tbody>\n</table>` : "<p>Nothing has happened yet.</p>";
}

const STYLE = `
:root{color-scheme:light dark}
body{margin:0;font:14px/1.45 ui-sans-serif,system-ui,sans-serif;color:light-dark(#121c1a,#e4ebe9);background:light-dark(#fff,#141a19)}
main{max-width:80rem;margin:auto;padding:1.5rem}
h1{font-size:1.4rem;overflow-wrap:anywhere}
h1 span{padding:1px 8px;border:1px solid;border-radius:4px;font-size:.85rem;vertical-align:middle}
.completed{color:light-dark(#17703d,#62cf8b)}
.failed,.timed_out,.terminated{color:light-dark(#b3212a,#ff8a8f)}
h2{margin:1.5rem 0 .5rem;font-size:1rem}
dl{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem}
dt{color:light-dark(#5f6c68,#8b9995);font-size:.85rem}
dd{margin:0;overflow-wrap:anywhere}
pre{padding:.75rem;border-radius:6px;background:light-dark(#eef1f0,#101615);white-space:pre-wrap;overflow-wrap:anywhere}
table{width:100%;border-collapse:collapse;font-size:.9rem}
th,td{padding:3px 8px;border-bottom:1px solid light-dark(#e0e5e4,#25302e);text-align:left;vertical-align:top;overflow-wrap:anywhere}
td:first-child,td:nth-child(2){white-space:nowrap}
.events td:nth-child(-n+4),th{white-space:nowrap}
.bar{width:40%;min-width:8rem}
svg{display:block;width:100%;height:12px}
.span{fill:light-dark(#0b655b,#56cdb9)}
.span.bad{fill:light-dark(#b3212a,#ff8a8f)}
footer{margin-top:2rem;color:light-dark(#5f6c68,#8b9995)}
`;
