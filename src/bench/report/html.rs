//! What a bench found, as one page for people: each table, and a plot of every
//! column. No scripts, nothing from elsewhere.

use std::fmt::Write as _;

use super::super::stats::Spread;
use super::{Figure, Table};

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{margin:2rem auto;max-width:64rem;padding:0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #8884}
th:first-child,td:first-child{text-align:left}
.wide{overflow-x:auto}figure{margin:2rem 0}figcaption{font-weight:600}
svg{width:100%;height:auto}svg text{font-size:13px;fill:currentColor}
.bar{fill:#2a78d0}.spread{stroke:currentColor;stroke-width:1.5}";

/// Of a plot: how wide it is, how wide its labels are, how high a row is.
const WIDTH: f64 = 760.0;
const LABELS: f64 = 260.0;
const NUMBERS: f64 = 170.0;
const ROW: f64 = 26.0;

/// The page. `about` says what was measured, and where.
pub(super) fn page(name: &str, about: &str, tables: &[Table]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=en><meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width\">\n\
         <title>sealcast bench {0}</title>\n<style>{STYLE}</style>\n\
         <h1>sealcast bench {0}</h1>\n<p>{1}</p>\n",
        escaped(name),
        escaped(about)
    );
    for table in tables {
        section(&mut html, table);
    }
    html
}

fn section(html: &mut String, table: &Table) {
    let _ = writeln!(html, "<p>{}</p>\n<div class=wide><table>", escaped(&table.title));
    let cells = |html: &mut String, tag: &str, cells: &mut dyn Iterator<Item = &str>| {
        let _ = write!(html, "<tr>");
        for cell in cells {
            let _ = write!(html, "<{tag}>{}</{tag}>", escaped(cell));
        }
        let _ = writeln!(html, "</tr>");
    };
    cells(html, "th", &mut table.head.iter().copied());
    for row in &table.rows {
        cells(html, "td", &mut row.iter().map(String::as_str));
    }
    html.push_str("</table></div>\n");
    let labels = table.head.len() - table.columns();
    for column in 0..table.columns() {
        let Some(head) = table.head.get(labels + column) else { continue };
        plot(html, head, table, labels, column);
    }
}

/// A bar for each row, as long as the median, with a line from the lowest to the highest.
fn plot(html: &mut String, head: &str, table: &Table, labels: usize, column: usize) {
    let rows: Vec<(String, usize, Spread)> = table
        .rows
        .iter()
        .zip(&table.figures)
        .filter_map(|(row, figures)| {
            let Figure(_, digits, spread) = figures.get(column)?;
            let label = row.get(..labels)?.join(" · ");
            Some((label, *digits, (*spread)?))
        })
        .collect();
    let most = rows.iter().map(|(_, _, spread)| spread.max).fold(0.0, f64::max);
    if rows.is_empty() || most <= 0.0 {
        return;
    }
    let height = ROW * rows.len() as f64;
    let scale = |value: f64| (value.max(0.0) / most) * (WIDTH - LABELS - NUMBERS);
    let _ = writeln!(
        html,
        "<figure><figcaption>{}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {height}\" role=img \
         aria-label=\"{0}, one bar a row; the table has the numbers\">",
        escaped(head)
    );
    for (at, (label, digits, spread)) in rows.iter().enumerate() {
        let (top, middle) = (ROW * at as f64, ROW * (at as f64 + 0.5));
        let (from, to) = (LABELS + scale(spread.min), LABELS + scale(spread.max));
        let _ = writeln!(
            html,
            "<text x=0 y={base:.1}>{label}</text>\
             <rect class=bar x={LABELS} y={y:.1} width={width:.1} height={bar:.1} />\
             <line class=spread x1={from:.1} x2={to:.1} y1={middle:.1} y2={middle:.1} />\
             <text x={end:.1} y={base:.1}>{text}</text>",
            base = middle + 4.0,
            label = escaped(label),
            y = top + 5.0,
            width = scale(spread.median),
            bar = ROW - 10.0,
            end = to + 8.0,
            text = spread.text(*digits),
        );
    }
    html.push_str("</svg></figure>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_table_and_a_bar_for_each_figure() {
        let mut table = Table::new("a < b".into(), &["server", "µs", "none"]);
        let spread = Spread { median: 2.0, min: 1.0, max: 4.0 };
        for server in ["one", "<two>"] {
            let figures = [Figure("us", 1, Some(spread)), Figure("none", 0, None)];
            table.add(&[("server", server.into())], &figures);
        }
        let page = page("fanout", "2 cores", &[table]);
        assert!(page.contains("a &lt; b") && page.contains("&lt;two&gt;"), "{page}");
        assert_eq!(page.matches("class=bar ").count(), 2);
        assert_eq!(page.matches("<figure>").count(), 1);
        assert!(!page.contains("<script") && !page.contains("http"));
    }
}
