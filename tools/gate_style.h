/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VD_GATE_STYLE_H
#define VD_GATE_STYLE_H

/* The page's style sheet. Both schemes have a contrast of at least 4.5 for text (WCAG AA). */
static const char vd_gate_style[] =
    ":root{color-scheme:light dark;--bg:#fbfaf7;--card:#fff;--ink:#1d2126;--soft:#59616b;--line:#dedbd2;--blue:#2a66a8;--amber:#a85b00;--good:#1b6e45;"
    "--bad:#b3261e;--warn:#8a5a00}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1c2026;--ink:#e8e6e1;--soft:#a3abb5;--line:#343a43;--blue:#7db3ec;--amber:#f0a44a;"
    "--good:#6ccb95;--bad:#ff8a80;--warn:#f2c14e}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}"
    "main{max-width:70rem;margin:0 auto;padding:1.5rem 1rem 4rem}"
    "header{border-bottom:1px solid var(--line);padding-bottom:1rem;margin-bottom:1.5rem}"
    "h1{font-size:1.6rem;line-height:1.2;margin:.2rem 0 .4rem;overflow-wrap:anywhere}"
    "h2{font-size:1.15rem;margin:2.2rem 0 .3rem}p{margin:.3rem 0 .8rem;max-width:70ch}.soft{color:var(--soft)}"
    ".verdict{display:inline-block;font-weight:700;letter-spacing:.03em;border:2px solid;border-radius:.4rem;padding:.15rem .6rem}"
    ".pass{color:var(--good)}.fail{color:var(--bad)}.insufficient{color:var(--warn)}"
    "ul.why{margin:.8rem 0 0;padding-left:1.2rem}ul.why li{margin:.25rem 0;overflow-wrap:anywhere}"
    ".wide{overflow-x:auto;border:1px solid var(--line);border-radius:.5rem;background:var(--card)}"
    "table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}"
    "th,td{text-align:right;padding:.35rem .7rem;border-top:1px solid var(--line);white-space:nowrap}"
    "thead th{border-top:0;color:var(--soft);font-weight:600}th:first-child,td:first-child,.left{text-align:left}td.left{white-space:normal;min-width:6.5rem}"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.8rem}"
    ".cols{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(22rem,100%),1fr));align-items:start}"
    ".grid{display:grid;gap:.7rem;grid-template-columns:repeat(auto-fill,minmax(min(14rem,100%),1fr))}"
    "figure{margin:0}figcaption{font-size:.875rem;color:var(--soft);margin-top:.3rem}"
    "img{display:block;width:100%;height:auto;border-radius:.25rem;background:#808080}"
    "svg{display:block;width:100%;height:auto}svg.chart{max-width:44rem;margin:0 auto}.cols svg.chart{max-width:32rem}"
    "svg text{font:11px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif;fill:var(--ink)}"
    "svg .tick,svg .v{font-size:9.5px}svg .tick{fill:var(--soft)}svg .name{font-size:10.5px;font-weight:600}svg .axis{font-size:11px;fill:var(--soft)}"
    "svg .end{text-anchor:end}svg .mid{text-anchor:middle}svg .grid{stroke:var(--line);stroke-width:.7}"
    "svg .alone{fill:var(--blue)}svg .runs{fill:url(#hatch);stroke:var(--amber);stroke-width:.8}"
    "svg .clipped{fill:url(#hatch);stroke:var(--amber);stroke-width:.5}svg .hatch{stroke:var(--amber);stroke-width:1.6}"
    "svg .points{fill:var(--blue);fill-opacity:.55}svg .same{stroke:var(--soft);stroke-width:1;stroke-dasharray:5 4}"
    "svg .fit{stroke:var(--amber);stroke-width:1.4}svg .base{stroke:var(--soft);stroke-width:.8}svg .edge{stroke:var(--amber);stroke-width:1.2;stroke-dasharray:3 2}"
    ".key{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;font-size:.875rem;color:var(--soft);margin:.2rem 0 .6rem;padding:0;list-style:none}"
    ".key svg{display:inline-block;width:1.5rem;height:.7rem;vertical-align:baseline;margin-right:.35rem}"
    "code{font:.85em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}";

#endif
