"""The report's style: light and dark, for wide screens and narrow ones."""

STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1d2329; --dim: #5c6670; --line: #d9dee3; --panel: #f6f8fa;
  --bar: #3b7dd8; --second: #c4572b; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --back: #14181c; --text: #e4e8ec; --dim: #9aa5af; --line: #343b43;
  --panel: #1c2228; --bar: #6aa5f8; --second: #f09a6c; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 24px 20px 60px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 34px 0 10px; } p { margin: 4px 0; }
.dim { color: var(--dim); } .bad { color: var(--bad); }
.facts { display: flex; flex-wrap: wrap; gap: 10px; margin: 16px 0; }
.fact { background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: 8px 14px; min-width: 118px; }
.fact b { display: block; font-size: 20px; font-variant-numeric: tabular-nums; } .fact span { font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(440px, 100%), 1fr)); gap: 16px; }
.chart { border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
.chart h3 { font-size: 14px; margin: 0 0 6px; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: 4px 14px 4px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); } th { font-weight: 600; color: var(--dim); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.text { overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
.bar { fill: var(--bar); } .axis { stroke: var(--dim); } .grid { stroke: var(--line); stroke-dasharray: 3 3; }
.line { fill: none; stroke-width: 2; } .line-0 { stroke: var(--bar); } .line-1 { stroke: var(--second); }
svg text.name { stroke: none; font-weight: 600; } svg text.line-0 { fill: var(--bar); }
svg text.line-1 { fill: var(--second); }
.dot { stroke: none; } .dot.line-0 { fill: var(--bar); } .dot.line-1 { fill: var(--second); }
"""
