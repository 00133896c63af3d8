//! The page's style. Two palettes over one set of names; nothing is fetched.

/// The whole style sheet.
pub const CSS: &str = r#"
:root{--bg:#fbfbf9;--card:#fff;--ink:#1c1e21;--soft:#5d646d;--line:#e3e4e0;--accent:#2f5fd0;--model:#4878d8;--first:#a9c1f2;--tool:#2a9d8f;--queue:#c77dba;--own:#e08a2e;--free:#9aa2ab;--path:#c8372d;--good:#1a7f4b;--bad:#b3261e;--hold:#8a6100;--shade:#f1f2ee;--bar:#dfe3ea}
@media(prefers-color-scheme:dark){:root{--bg:#14161a;--card:#1b1e24;--ink:#e8eaed;--soft:#9aa3ae;--line:#2c313a;--accent:#8ab0ff;--model:#6f9bf2;--first:#3d5488;--tool:#46c2b2;--queue:#d79acb;--own:#f0a552;--free:#5f6874;--path:#ff7a6e;--good:#5fd098;--bad:#ff8f85;--hold:#f2c14e;--shade:#20242b;--bar:#2b313b}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:3.5rem}
@media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums}
header,main,footer{max-width:68rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2rem}
.kicker{margin:0;color:var(--soft);font-size:.85rem;overflow-wrap:anywhere}
h1{margin:.2rem 0 .6rem;font-size:2rem;line-height:1.2;letter-spacing:-.01em;display:flex;flex-wrap:wrap;gap:.2em .5em;align-items:center}
.date{font-weight:400;color:var(--soft)}
.action{font-size:1.05rem;letter-spacing:.06em;padding:.15em .7em;border-radius:2em;border:1.5px solid}
.buy{color:var(--good)}.sell{color:var(--bad)}.hold{color:var(--hold)}
.banner{margin:.4rem 0;padding:.45rem .8rem;background:var(--shade);border-left:3px solid var(--hold);border-radius:3px}
.banner.bad{border-color:var(--bad)}
.lede{margin:.6rem 0;max-width:52rem;color:var(--soft)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.2rem,1fr));gap:.7rem;margin:1.2rem 0}
.figures>div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7rem .9rem}
.figures dt{color:var(--soft);font-size:.82rem}
.figures dd{margin:0;font-size:1.35rem;line-height:1.35;white-space:nowrap}
.figures dd b{font-weight:650}
.figures .note{font-size:.8rem;color:var(--soft);white-space:normal;line-height:1.3}
.figures .good b{color:var(--good)}.figures .bad b{color:var(--bad)}
nav{position:sticky;top:0;z-index:2;background:var(--bg);border-bottom:1px solid var(--line)}
nav ul{max-width:68rem;margin:0 auto;padding:.5rem 1.25rem;display:flex;gap:.35rem 1.1rem;list-style:none;overflow-x:auto}
nav a{color:var(--soft);text-decoration:none;white-space:nowrap;font-size:.88rem;padding:.15rem 0}
nav a:hover{color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.3rem .6rem;z-index:3}
section{margin:2.2rem 0}
h2{font-size:1.2rem;margin:0 0 .3rem}
h3{font-size:.95rem;margin:1.2rem 0 .3rem}
p{margin:.3rem 0 .7rem}
.soft{color:var(--soft);font-size:.88rem}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:8px;background:var(--card)}
table{border-collapse:collapse;width:100%;font-size:.88rem}
th,td{padding:.38rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
tr:last-child>td{border-bottom:0}
th{color:var(--soft);font-weight:500;font-size:.8rem}
th:first-child,td:first-child,.l{text-align:left}
td.wrap{white-space:normal;text-align:left;min-width:16rem}
tbody tr:hover{background:var(--shade)}
tfoot td{font-weight:600;border-top:2px solid var(--line)}
.dot{display:inline-block;width:.55em;height:.55em;border-radius:50%;margin-right:.45em;background:var(--free);vertical-align:.08em}
.dot.path{background:var(--path)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:.2rem 0 .6rem;padding:0;list-style:none;font-size:.84rem;color:var(--soft)}
.legend i{display:inline-block;width:.9em;height:.7em;border-radius:2px;margin-right:.4em}
.k-model{background:var(--model);fill:var(--model)}.k-first{background:var(--first);fill:var(--first)}.k-tool{background:var(--tool);fill:var(--tool)}.k-queue{background:var(--queue);fill:var(--queue)}.k-own{background:var(--own);fill:var(--own)}.k-free{background:var(--free);fill:var(--free)}.k-node{background:var(--bar);fill:var(--bar)}.k-path{background:var(--path);fill:var(--path)}.k-cached{background:var(--tool);fill:var(--tool)}.k-answer{background:var(--own);fill:var(--own)}.k-reason{background:var(--queue);fill:var(--queue)}
.fall{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem .9rem}
.fall .row{display:grid;grid-template-columns:10.5rem 1fr 4.6rem;gap:.7rem;align-items:center;padding:.12rem 0}
.fall .row:hover{background:var(--shade)}
.fall .name{font-size:.84rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.fall .critical .name{font-weight:650}
.fall .t{font-size:.8rem;color:var(--soft);text-align:right}
.fall svg{display:block;width:100%;height:17px;overflow:visible}
.fall .axis svg{height:9px}
.grid{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke}
.ticks{display:flex;justify-content:space-between;font-size:.76rem;color:var(--soft)}
.stack{display:block;width:100%;height:22px;border-radius:5px;margin:.3rem 0 .6rem}
.mini{width:7rem;height:10px;display:block;border-radius:3px}
.worth{font-weight:600;white-space:nowrap}
ol.advice{padding-left:1.4rem}ol.advice li{margin:.3rem 0}
.reasons li{margin:.25rem 0}
.points{display:inline-block;min-width:2.6em;color:var(--bad);font-weight:600}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:.8rem}@media(max-width:48rem){.pair{grid-template-columns:1fr}}details{margin:.5rem 0}summary{cursor:pointer;color:var(--accent);font-size:.9rem}
pre{margin:.4rem 0;padding:.6rem .8rem;background:var(--shade);border-radius:6px;font-size:.8rem;white-space:pre-wrap;overflow-wrap:anywhere;max-height:18rem;overflow:auto}
code{font-size:.9em;overflow-wrap:anywhere}
.env{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;margin:0}
.env dt{color:var(--soft)}.env dd{margin:0;overflow-wrap:anywhere}
footer{padding:1.5rem 1.25rem 3rem;color:var(--soft);font-size:.82rem;border-top:1px solid var(--line);margin-top:2rem}
@media(max-width:40rem){body{font-size:14px}h1{font-size:1.6rem}.fall .row{grid-template-columns:1fr 4.2rem;gap:.1rem .6rem;padding:.25rem 0}.fall .row svg{grid-column:1/-1;grid-row:2}.fall .axis>:first-child,.fall .axis .t{display:none}.fall .axis>*{grid-column:1/-1}.figures{grid-template-columns:1fr 1fr}.env{grid-template-columns:1fr}.env dd{margin-bottom:.4rem}}
@media print{:root{--bg:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc;--accent:#000;--model:#4878d8;--first:#a9c1f2;--tool:#2a9d8f;--queue:#c77dba;--own:#e08a2e;--free:#9aa2ab;--path:#c8372d;--good:#1a7f4b;--bad:#b3261e;--hold:#8a6100;--shade:#f3f3f3;--bar:#e4e6ea}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}nav,.skip{display:none}body{font-size:10pt}section{margin:1rem 0}tr,li,.figures,.fall,.pair,.env,footer{break-inside:avoid}h2,h3,summary,.legend,.stack,thead{break-after:avoid}td .soft{font-size:inherit}footer{padding:.5rem 0;margin-top:1rem}.scroll{overflow:visible;border:0}table{font-size:8.5pt}th{white-space:normal}th,td{padding:.2rem .35rem}td.wrap{min-width:0}.mini{width:3.5rem}details::details-content{content-visibility:visible;display:block;block-size:auto}pre{max-height:none}}
"#;
