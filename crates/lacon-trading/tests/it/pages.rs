//! The complete report: what a model wrote is data, every figure has a source or says that it has none.

use lacon_llm::Response;
use lacon_trading::{decide, page::Material};

use crate::support::{Scripted, folder, says, settings};

/// A run whose bear writes what it should not.
async fn material(name: &str) -> (Material, std::path::PathBuf) {
    let hostile = "Close 181.64 <script>alert(1)</script> and 4711.5 made up.\n\n![x](http://evil.example/x.png) [a](javascript:alert(1)) \
        [b](https://example.com/\"onmouseover=x)\n\n<img src=x onerror=alert(1)>\n\n| a | b |\n|---|---|\n| 1.25 | RSI |\n\n\u{202e}turned\u{1b}[m\n\n## Head";
    let client = Scripted::new(move |role, _, _| {
        Ok(match role {
            "bear" => Response::new("scripted", hostile),
            _ => says(role, "On 2025-07-30 the close was 181.64."),
        })
    });
    let mut settings = settings(name, "lacon", &[], client);
    settings.journal = true;
    let out = settings.out.clone();
    let decided = decide(settings).await;
    assert!(decided.failure.is_none(), "{:?}", decided.failure);
    (Material::read(&decided.folder).unwrap(), out)
}

#[tokio::test(start_paused = true)]
async fn the_page_asks_nothing_and_runs_nothing() {
    let (material, out) = material("page-safe").await;
    let page = material.html();
    std::fs::remove_dir_all(out).unwrap();
    for text in [&page, &material.markdown()] {
        assert!(text.contains("\\u202eturned\\u001b[m") && !text.contains(['\u{202e}', '\u{1b}']));
    }
    // What stands in a text is shown as text; only a tag of the page itself can ask for anything.
    let tags = tags(&page);
    for tag in &tags {
        let name: String = tag.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '!').collect();
        assert!(
            !["script", "img", "iframe", "object", "embed", "form", "base"].contains(&name.as_str()),
            "<{tag}>"
        );
        assert!(name != "link" || tag.contains("href=\"data:,\""), "<{tag}>");
        for (attribute, value) in attributes(tag) {
            assert!(
                attribute != "src" && !attribute.starts_with("on") && attribute != "srcset",
                "{attribute} in <{tag}>"
            );
            let leads = ["#", "data:,", "https://", "http://"].iter().any(|start| value.starts_with(start));
            assert!(attribute != "href" || leads, "{value} in <{tag}>");
            assert!(!value.contains("evil.example"), "{value} in <{tag}>");
        }
    }
    let style = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
    assert!(!style.contains("url(") && !style.contains("@import"));
    assert!(page.contains("&lt;script&gt;") && page.contains("&lt;img"));
    assert!(!page.contains("\"onmouseover"), "an address cannot leave its quotes");
    assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"));
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("<h4>Head"));
    assert!(
        page.contains("<svg") && page.contains("role=\"img\"") && page.contains("RSI: 4"),
        "a chart is drawn"
    );
    for tag in ["details", "section", "table", "svg", "div", "dl"] {
        let count = |start: &str| {
            tags.iter().filter(|t| t.split([' ', '>']).next() == Some(&format!("{start}{tag}"))).count()
        };
        assert_eq!(count(""), count("/"), "{tag}");
    }
}

/// What stands between `<` and `>`, quoted values included.
fn tags(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let inside = &rest[at + 1..];
        let mut quoted = false;
        let end = inside.find(|c: char| {
            quoted ^= c == '"';
            c == '>' && !quoted
        });
        let end = end.unwrap_or(inside.len());
        found.push(&inside[..end]);
        rest = &inside[end..];
    }
    found
}

/// Names and values of a tag's attributes; all of the page's are quoted.
fn attributes(tag: &str) -> Vec<(String, &str)> {
    let parts: Vec<&str> = tag.split('"').collect();
    let pairs = parts.chunks_exact(2).filter_map(|pair| {
        let name = pair[0].trim().trim_end_matches('=').rsplit(' ').next()?;
        Some((name.to_lowercase(), pair[1]))
    });
    pairs.collect()
}

#[tokio::test(start_paused = true)]
async fn every_figure_has_its_source_or_says_that_it_has_none() {
    let (material, out) = material("page-sources").await;
    let (page, text) = (material.html(), material.markdown());
    let complete =
        std::fs::read_to_string(out.join("CRCL/2025-07-30/page-sources/reports/complete.md")).unwrap();
    std::fs::remove_dir_all(out).unwrap();
    let link = "title=\"bundled pack CRCL: get_YFin_data_online, window … to 2025-07-30, retrieved 20";
    assert!(page.contains(link), "{page}");
    assert!(page.contains("<span class=\"bare\" title=\"no tool showed this figure\">4711.5</span>"));
    let row =
        "| 1 | get_YFin_data_online | CRCL 2025-06-30 2025-07-30 | bundled pack CRCL | … to 2025-07-30 |";
    // What every run leaves names its sources as what is written on demand does.
    for text in [&text, &complete] {
        assert!(text.contains("181.64 [1]") && text.contains("4711.5 [?]"), "{text}");
        assert!(text.contains("# Sources of the figures") && text.contains(row), "{text}");
    }
}

#[test]
fn a_folder_without_a_run_is_told() {
    let out = folder("page-none");
    std::fs::create_dir_all(&out).unwrap();
    assert!(Material::read(&out).err().unwrap().contains("run.json: cannot be read"));
    std::fs::write(out.join("run.json"), "{").unwrap();
    assert!(Material::read(&out).err().unwrap().contains("run.json: EOF"));
    std::fs::remove_dir_all(out).unwrap();
}
