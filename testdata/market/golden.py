"""Writes the golden indicator files beside this script with stockstats; run golden.sh, which installs it in a venv.

`aapl.csv` is a real daily series (bokeh_sampledata, BSD-3: AAPL, 800 days to 2013-03-01), `aapl_stockstats.csv` its thirteen
indicators. `workload_<T>_stockstats.csv` holds those of the price text in each recorded run, when the folder of recorded runs is
given as the argument.
"""

import csv
import gzip
import io
import json
import pathlib
import sys

import bokeh_sampledata
import pandas as pd
import stockstats

NAMES = "close_50_sma close_200_sma close_10_ema macd macds macdh rsi boll boll_ub boll_lb atr vwma mfi".split()
HERE = pathlib.Path(__file__).parent


def indicators(rows, out):
    frame = pd.DataFrame(rows, columns=["date", "open", "high", "low", "close", "volume"])
    stock = stockstats.wrap(frame.copy())
    values = {name: list(stock[name]) for name in NAMES}
    with open(out, "w", newline="") as file:
        file.write("," + ",".join(NAMES) + "\n")
        for i in range(len(frame)):
            cells = ["" if pd.isna(values[n][i]) else repr(float(values[n][i])) for n in NAMES]
            file.write(f"{i}," + ",".join(cells) + "\n")


def real_series():
    data = pathlib.Path(bokeh_sampledata.__file__).parent / "_data" / "stocks.csv.gz"
    with gzip.open(data, "rt") as file:
        rows = [r for r in csv.DictReader(file) if r["Ticker"] == "AAPL"]
    lower = [{k.lower(): v for k, v in r.items()} for r in rows]
    keep = sorted(lower, key=lambda r: r["date"])[-800:]
    return [[r["date"]] + [float(r[c]) for c in ("open", "high", "low", "close", "volume")] for r in keep]


def price_text(text):
    body = text[text.index("Date,"):]
    rows = []
    for r in csv.DictReader(io.StringIO(body)):
        try:
            rows.append([r["Date"][:10]] + [float(r[c]) for c in ("Open", "High", "Low", "Close", "Volume")])
        except (ValueError, TypeError, KeyError):
            continue
    return rows


series = real_series()
with open(HERE / "aapl.csv", "w", newline="") as file:
    file.write("Date,Open,High,Low,Close,Volume\n")
    for row in series:
        file.write(",".join([row[0]] + [repr(v) for v in row[1:]]) + "\n")
indicators(series, HERE / "aapl_stockstats.csv")
if len(sys.argv) > 1:
    for run in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
        record = json.loads(run.read_text())
        for tool in record["tools"].get("get_YFin_data_online", []):
            if "Date," in tool["text"]:
                rows = price_text(tool["text"])
                indicators(rows, HERE / f"workload_{record['ticker']}_stockstats.csv")
                print(record["ticker"], len(rows))
                break
