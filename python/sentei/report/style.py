"""The style sheet of the HTML report: neutrals, one green for what is left, amber and red on need."""

__all__ = ["CSS"]

CSS = """
:root{color-scheme:light dark;--paper:#f8f8f5;--raised:#ffffff;--ink:#1a1d19;--soft:#5d6259;
--line:#dfe1d9;--faint:#edeee8;--before:#b4b9ae;--after:#2b6b4d;--good:#2b6b4d;--warn:#8f5500;
--bad:#b3261e;--k0:#2b6b4d;--k1:#1f5fa8;--k2:#b35900;--k3:#8a3ffc;
--k4:#b3261e;--k5:#00798c;--k6:#7a6a00;--k7:#a8326e}
@media (prefers-color-scheme:dark){:root{--paper:#121512;--raised:#1a1e1a;--ink:#e8ebe3;
--soft:#9da498;--line:#2f352f;--faint:#222722;--before:#666d63;--after:#74c69d;--good:#74c69d;
--warn:#e5b567;--bad:#ff8f80;--k0:#74c69d;--k1:#7db3f0;--k2:#f0a35e;--k3:#b79cff;
--k4:#ff8f80;--k5:#5ecbdc;--k6:#d8c65a;--k7:#f08cbc}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.5;font-size:15px;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Liberation Sans",Arial,
sans-serif;font-variant-numeric:tabular-nums lining-nums;-webkit-font-smoothing:antialiased}
main{max-width:1080px;margin:0 auto;padding:44px 32px 72px}
h1,h2,h3,p,dl,dd,figure{margin:0}
a{color:inherit}
.kicker{display:flex;flex-wrap:wrap;gap:4px 18px;color:var(--soft);font-size:13px}
h1{font:inherit;font-weight:650;color:var(--ink);overflow-wrap:anywhere}
.verdict{margin:38px 0 44px;max-width:900px}
.badge{display:inline-flex;align-items:center;gap:8px;font-size:13px;font-weight:650;
letter-spacing:.01em;color:var(--tone)}
.badge svg{width:18px;height:18px;flex:none}
.headline{margin-top:10px;font-size:clamp(23px,3.5vw,35px);line-height:1.22;font-weight:600;
letter-spacing:-.018em;text-wrap:balance;overflow-wrap:anywhere}
.t-plain{--tone:var(--ink)}.t-good{--tone:var(--good)}.t-warn{--tone:var(--warn)}
.t-bad{--tone:var(--bad)}
.long .headline{font-size:clamp(20px,2.7vw,27px);line-height:1.3}
.headline span{color:var(--tone)}
.cards{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:34px 28px}
.card{border-top:1px solid var(--ink);padding-top:10px;min-width:0}
.card h3{font-size:13px;font-weight:500;color:var(--soft)}
.now{font-size:27px;line-height:1.2;font-weight:600;letter-spacing:-.02em;margin-top:4px}
.was{font-size:13px;color:var(--soft);min-height:1.5em}
.meter{height:5px;margin:10px 0 7px;background:var(--line);overflow:hidden}
.meter i{display:block;height:100%;background:var(--after)}.meter.t-warn i{background:var(--warn)}
.gain{font-size:13.5px;font-weight:600;color:var(--tone)}
.more{font-size:12.5px;color:var(--soft)}
section{margin-top:60px}
h2{font-size:19px;font-weight:650;letter-spacing:-.01em}
.intro{color:var(--soft);max-width:64ch;margin-top:3px;font-size:14px}
.columns{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 44px}
.columns section{min-width:0}
figure{margin-top:18px}
figure h3{font-size:14px;font-weight:600;margin-bottom:8px}
figure svg{display:block;width:100%;height:auto;max-width:560px}
svg text{font-family:inherit;font-size:11px;fill:var(--ink)}
svg .tick{fill:var(--soft)}svg .label{fill:var(--ink)}
svg .note{fill:var(--soft);paint-order:stroke;stroke:var(--paper);stroke-width:3px}
.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--soft);stroke-width:1;fill:none}
.rule{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 3;fill:none}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.line.before{stroke:var(--before);stroke-dasharray:5 4}.line.after{stroke:var(--after)}
.dot.before{fill:var(--before)}.dot.after{fill:var(--after)}
.line.plain{stroke:var(--ink)}.dot.plain{fill:var(--ink)}.line.dashed{stroke-dasharray:5 4}
.dot.dashed{fill-opacity:.45}
.line.k0{stroke:var(--k0)}.dot.k0{fill:var(--k0)}.line.k1{stroke:var(--k1)}.dot.k1{fill:var(--k1)}
.line.k2{stroke:var(--k2)}.dot.k2{fill:var(--k2)}.line.k3{stroke:var(--k3)}.dot.k3{fill:var(--k3)}
.line.k4{stroke:var(--k4)}.dot.k4{fill:var(--k4)}.line.k5{stroke:var(--k5)}.dot.k5{fill:var(--k5)}
.line.k6{stroke:var(--k6)}.dot.k6{fill:var(--k6)}.line.k7{stroke:var(--k7)}.dot.k7{fill:var(--k7)}
.area{fill:var(--after);fill-opacity:.75}
rect.hit{fill:var(--after)}rect.miss{fill:var(--bad)}
svg .count{fill:var(--ink);font-size:10px}svg .over{fill:var(--paper);font-size:10px}
rect.before{fill:var(--before)}rect.after{fill:var(--after)}
.strip{stroke:var(--after);stroke-width:1;fill:none}
.s1{stroke-opacity:.38}.s2{stroke-opacity:.68}.s3{stroke-opacity:1}
.median{fill:var(--paper);stroke:var(--ink);stroke-width:1.6}
.scroll{overflow-x:auto;margin-top:16px}
.scroll:focus-visible{outline:2px solid var(--after);outline-offset:3px}
table{border-collapse:collapse;width:100%;font-size:14px}
caption{text-align:left;color:var(--soft);font-size:13px;padding-bottom:8px;text-wrap:pretty}
th,td{padding:8px 18px 8px 0;text-align:left;vertical-align:middle;
border-bottom:1px solid var(--line)}
th:last-child,td:last-child{padding-right:0}
thead th{font-weight:500;color:var(--soft);font-size:12.5px;border-bottom-color:var(--ink);
vertical-align:bottom;white-space:nowrap}
tbody th{font-weight:600;min-width:84px}tbody th,td{overflow-wrap:anywhere}
details th{min-width:0}details th,details td{padding-right:12px;font-size:13px}
tbody th small{display:block;font-weight:400;color:var(--soft);font-size:12px;line-height:1.2}
.n{text-align:right;white-space:nowrap}
.wide{width:24%;min-width:84px}
.n+.wide{padding-left:26px}
.bars{display:block;width:100%;height:17px}
.key{display:inline-flex;align-items:center;gap:6px;margin-right:14px}
.key i{width:14px;height:7px;display:inline-block}
.key .b{background:var(--before)}.key .a{background:var(--after)}
.parts{display:flex;height:12px;gap:2px;margin:16px 0 8px;max-width:100%}
.parts i{display:block;min-width:2px;background:var(--after)}
.parts i:nth-child(2){opacity:.68}.parts i:nth-child(3){opacity:.44}
.parts i:nth-child(4){opacity:.26}
.facts{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 44px;margin-top:16px}
.facts div{display:grid;grid-template-columns:110px minmax(0,1fr);gap:14px;padding:8px 0;
border-bottom:1px solid var(--line);font-size:14px}
dt{color:var(--soft)}dd{overflow-wrap:anywhere}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;
font-size:12.5px}
pre{background:var(--faint);padding:16px 18px;overflow-x:auto;margin:12px 0 0;line-height:1.55}
details{margin-top:20px}summary{cursor:pointer;font-size:14px;font-weight:600}
footer{margin-top:64px;padding-top:14px;border-top:1px solid var(--line);color:var(--soft);
font-size:12.5px}
@media (max-width:860px){.cards{grid-template-columns:repeat(2,minmax(0,1fr))}
.columns,.facts{grid-template-columns:minmax(0,1fr)}}
@media (max-width:560px){main{padding:26px 18px 48px}.verdict{margin:26px 0 34px}
.cards{gap:28px 20px}.now{font-size:23px}section{margin-top:48px}.optional{display:none}
svg text{font-size:12.5px}th,td{padding-right:12px}table{font-size:13px}
.facts div{grid-template-columns:88px 1fr}}
@media print{:root{--paper:#fff;--raised:#fff;--ink:#000;--soft:#444;--line:#ccc;--faint:#f4f4f4;
--before:#b4b9ae;--after:#2b6b4d;--good:#2b6b4d;--warn:#8f5500;--bad:#b3261e}
body{font-size:11pt;-webkit-print-color-adjust:exact;print-color-adjust:exact}
main{max-width:none;padding:0}.cards{grid-template-columns:repeat(4,minmax(0,1fr))}
.columns{grid-template-columns:repeat(2,minmax(0,1fr))}
.card,figure,tr,.verdict{break-inside:avoid}h2{break-after:avoid}section{margin-top:32px}
.scroll{overflow:visible}pre{white-space:pre-wrap}}
"""
