//! The tools that analysts may call: names, arguments, results. Names and arguments are the original system's.

/// The kind of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A day, `yyyy-mm-dd`.
    Date,
    /// A whole number.
    Integer,
    /// One of a fixed set.
    Choice(&'static [&'static str]),
}

/// One argument of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Used when it is left out; without one the argument is required.
    pub default: Option<&'static str>,
}

/// One tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name in calls.
    pub name: &'static str,
    /// What it gives, for the model.
    pub description: &'static str,
    /// Its arguments in order.
    pub arguments: &'static [Argument],
}

const fn text(name: &'static str) -> Argument {
    Argument { name, kind: Kind::Text, default: None }
}

const fn date(name: &'static str) -> Argument {
    Argument { name, kind: Kind::Date, default: None }
}

const TICKER_DATE: &[Argument] = &[text("ticker"), date("curr_date")];
const PRICES: &[Argument] = &[text("symbol"), date("start_date"), date("end_date")];
const INDICATOR: &[Argument] = &[
    text("symbol"),
    Argument {
        name: "indicator",
        kind: Kind::Choice(&[
            "close_50_sma",
            "close_200_sma",
            "close_10_ema",
            "macd",
            "macds",
            "macdh",
            "rsi",
            "boll",
            "boll_ub",
            "boll_lb",
            "atr",
            "vwma",
            "mfi",
        ]),
        default: None,
    },
    date("curr_date"),
    Argument { name: "look_back_days", kind: Kind::Integer, default: Some("30") },
];
const STATEMENT: &[Argument] = &[
    text("ticker"),
    Argument { name: "freq", kind: Kind::Choice(&["annual", "quarterly"]), default: None },
    date("curr_date"),
];
const TICKER: &[Argument] = &[text("ticker")];
const MACRO: &[Argument] = &[
    text("series"),
    date("curr_date"),
    Argument { name: "look_back_days", kind: Kind::Integer, default: Some("365") },
];

/// All tools, by analyst: market, social, news, fundamentals; the last two are for any analyst whose prompt file lists them.
pub const TOOLS: &[Tool] = &[
    Tool { name: "get_YFin_data_online", description: "Daily prices and volume.", arguments: PRICES },
    Tool {
        name: "get_YFin_data",
        description: "Daily prices and volume from local files.",
        arguments: PRICES,
    },
    Tool {
        name: "get_stockstats_indicators_report_online",
        description: "Daily values of one technical indicator.",
        arguments: INDICATOR,
    },
    Tool {
        name: "get_stockstats_indicators_report",
        description: "Daily values of one technical indicator from local files.",
        arguments: INDICATOR,
    },
    Tool {
        name: "get_volume_analysis",
        description: "Volume against its 20-day mean, on-balance volume, accumulation.",
        arguments: TICKER,
    },
    Tool {
        name: "get_support_resistance",
        description: "Pivot points and swing levels around the last close.",
        arguments: TICKER,
    },
    Tool {
        name: "get_stock_news_openai",
        description: "What was said about the company in the last 7 days.",
        arguments: TICKER_DATE,
    },
    Tool { name: "get_reddit_stock_info", description: "Posts on the company.", arguments: TICKER_DATE },
    Tool { name: "get_stocktwits_sentiment", description: "Messages on StockTwits.", arguments: TICKER },
    Tool { name: "get_twitter_mentions", description: "Mentions on Twitter.", arguments: TICKER },
    Tool {
        name: "get_global_news_openai",
        description: "Market-wide news of the last 7 days.",
        arguments: &[date("curr_date")],
    },
    Tool {
        name: "get_google_news",
        description: "Headlines of the last 7 days for a query.",
        arguments: &[text("query"), date("curr_date")],
    },
    Tool {
        name: "get_finnhub_news",
        description: "Company news between two days.",
        arguments: &[text("ticker"), date("start_date"), date("end_date")],
    },
    Tool { name: "get_reddit_news", description: "Posts on the market.", arguments: &[date("curr_date")] },
    Tool {
        name: "get_fundamentals_openai",
        description: "Key figures and events of the company.",
        arguments: TICKER_DATE,
    },
    Tool {
        name: "get_finnhub_company_insider_sentiment",
        description: "Monthly insider sentiment of the last 30 days.",
        arguments: TICKER_DATE,
    },
    Tool {
        name: "get_finnhub_company_insider_transactions",
        description: "Insider transactions of the last 30 days.",
        arguments: TICKER_DATE,
    },
    Tool {
        name: "get_simfin_balance_sheet",
        description: "The last published balance sheet.",
        arguments: STATEMENT,
    },
    Tool {
        name: "get_simfin_cashflow",
        description: "The last published cash flow statement.",
        arguments: STATEMENT,
    },
    Tool {
        name: "get_simfin_income_stmt",
        description: "The last published income statement.",
        arguments: STATEMENT,
    },
    Tool {
        name: "get_macro_series",
        description: "A macro series (cpi, unemployment, fed funds, 10y, vix …) as it was known on the day.",
        arguments: MACRO,
    },
    Tool {
        name: "get_prediction_markets",
        description: "What prediction markets hold for likely on a topic.",
        arguments: &[text("topic"), date("curr_date")],
    },
];

/// The tool of that name.
pub fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

impl Tool {
    /// The arguments as a JSON schema object.
    pub fn schema(&self) -> serde_json::Value {
        let mut properties = serde_json::Map::new();
        for argument in self.arguments {
            let mut property = match argument.kind {
                Kind::Text => serde_json::json!({"type": "string"}),
                Kind::Date => serde_json::json!({"type": "string", "description": "yyyy-mm-dd"}),
                Kind::Integer => serde_json::json!({"type": "integer"}),
                Kind::Choice(values) => serde_json::json!({"type": "string", "enum": values}),
            };
            if let (Some(default), Some(map)) = (argument.default, property.as_object_mut()) {
                let value = default.parse::<i64>().map_or_else(|_| default.into(), serde_json::Value::from);
                map.insert("default".into(), value);
            }
            properties.insert(argument.name.into(), property);
        }
        let required: Vec<&str> =
            self.arguments.iter().filter(|a| a.default.is_none()).map(|a| a.name).collect();
        serde_json::json!({"type": "object", "properties": properties, "required": required})
    }
}
