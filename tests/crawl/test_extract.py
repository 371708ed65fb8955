"""Extraction on the markup of the documentation tools that people use."""

# The fixtures keep the long lines of the pages that they are taken after.
# ruff: noqa: E501

import time

import pytest

from supportbot_dagster.crawl import Page, Skipped, extract_page, plain_text

URL = "https://docs.example.com/help/page.html"


def page_of(html: str | bytes, **options: str | None) -> Page:
    raw = html.encode("utf-8") if isinstance(html, str) else html
    page = extract_page(raw, url=URL, **options)
    assert isinstance(page, Page), page
    return page


DOCBOOK = """<?xml version="1.0" encoding="UTF-8"?>
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>2. Tools</title></head><body>
<div class="navheader"><table><tr><th>2. Tools</th></tr><tr><td><a href="a.html">Prev</a></td>
<td><a href="b.html">Next</a></td></tr></table><hr/></div>
<div class="sect1"><div class="titlepage"><div><div><h2 class="title"><a id="tools"></a>2. Tools</h2>
</div></div></div>
<div class="toc"><p><strong>Table of Contents</strong></p><dl class="toc">
<dt><span class="sect2"><a href="#one">2.1. One</a></span></dt>
<dt><span class="sect2"><a href="#two">2.2. Two</a></span></dt></dl></div>
<p>Lead words.</p>
<div class="sect2"><div class="titlepage"><div><div><h3 class="title"><a id="one"></a>2.1. One</h3>
</div></div></div>
<p>Open <span class="guimenu">Image</span> → <span class="guisubmenu">Mode</span> →
<span class="guimenuitem">Indexed</span>, or press
<span class="keycap"><strong>Ctrl</strong></span>+<span class="keycap"><strong>I</strong></span>.</p>
<div class="note"><table border="0"><tr><td rowspan="2"><img alt="[Note]" src="n.png"/></td>
<th>Note</th></tr><tr><td><p>Undo with care.</p></td></tr></table></div>
<div class="variablelist"><dl class="variablelist"><dt><span class="term">Mode</span></dt>
<dd><p>How it is combined.</p><pre class="programlisting">(define x 1)
  (if x 2)</pre></dd></dl></div>
</div></div>
<div class="navfooter"><hr/><table><tr><td><a href="a.html">Prev</a></td>
<td><a href="index.html">Home</a></td><td><a href="b.html">Next</a></td></tr></table></div>
</body></html>"""


def test_docbook() -> None:
    page = page_of(DOCBOOK)
    assert page.title == "2. Tools"
    assert [(s.anchor, s.heading_path) for s in page.sections] == [
        ("", ["2. Tools"]),
        ("one", ["2. Tools", "2.1. One"]),
    ]
    assert page.sections[0].markdown == "Lead words."
    assert page.sections[1].markdown == (
        "Open Image → Mode → Indexed, or press `Ctrl`+`I`.\n\n"
        "> **Note:** Undo with care.\n\n"
        "Mode\n:   How it is combined.\n\n"
        "    ```\n    (define x 1)\n      (if x 2)\n    ```"
    )
    for word in ("Prev", "Next", "Home", "Contents"):
        assert word not in page.text


def test_docbook_chapter_title_stands_as_high_as_its_sections() -> None:
    page = page_of(
        "<html><head><title>Chapter 1. A</title></head><body><div class='chapter'>"
        "<div class='titlepage'><h2 class='title'>Chapter 1. A</h2></div><p>Lead.</p>"
        "<div class='sect1'><h2><a id='s1'></a>1. B</h2><p>Body b.</p>"
        "<h3 id='s11'>1.1. C</h3><p>Body c.</p></div>"
        "<div class='sect1'><h2><a id='s2'></a>2. D</h2><p>Body d.</p></div></div></body></html>"
    )
    assert [s.heading_path for s in page.sections] == [
        ["Chapter 1. A"],
        ["Chapter 1. A", "1. B"],
        ["Chapter 1. A", "1. B", "1.1. C"],
        ["Chapter 1. A", "2. D"],
    ]


SPHINX = """<!DOCTYPE html><html><head><title>Install — Demo docs</title></head>
<body class="wy-body-for-nav"><div class="wy-grid-for-nav">
<nav data-toggle="wy-nav-shift" class="wy-nav-side"><div class="wy-menu wy-menu-vertical">
<ul><li><a href="other.html">Other page of the sidebar</a></li></ul></div></nav>
<section data-toggle="wy-nav-shift" class="wy-nav-content-wrap">
<nav class="wy-nav-top"><a href="index.html">Demo</a></nav>
<div class="wy-nav-content"><div class="rst-content">
<div role="navigation" aria-label="Page navigation"><ul class="wy-breadcrumbs">
<li><a href="index.html">Docs</a></li><li class="wy-breadcrumbs-aside">
<a href="https://github.com/d/d/blob/main/install.rst">Edit on GitHub</a></li></ul></div>
<div role="main" class="document"><div itemprop="articleBody">
<section id="install"><span id="label"></span>
<h1>Install<a class="headerlink" href="#install" title="Link">¶</a></h1>
<p>Choose <span class="menuselection">File ‣ Open</span> or <kbd class="kbd compound"><kbd>Ctrl</kbd>+<kbd>O</kbd></kbd>.</p>
<section id="with-pip"><h2>With pip<a class="headerlink" href="#with-pip">¶</a></h2>
<div class="highlight-bash notranslate"><div class="highlight"><pre><span></span>pip<span> </span>install demo
<span class="c1"># done</span>
</pre></div></div>
<div class="admonition warning"><p class="admonition-title">Warning</p><p>Not as root.</p></div>
<div class="highlight-python notranslate"><table class="highlighttable"><tr>
<td class="linenos"><div class="linenodiv"><pre>1
2</pre></div></td><td class="code"><div class="highlight"><pre>a = 1
b = 2
</pre></div></td></tr></table></div>
<table class="docutils"><thead><tr><th>Name</th><th>Means</th></tr></thead>
<tbody><tr><td rowspan="2"><p>a|b</p></td><td><ul><li><p>x</p></li><li><p>y</p></li></ul></td></tr>
<tr><td>z</td></tr></tbody></table>
</section></section></div></div>
<footer><div class="rst-footer-buttons"><a href="a.html" rel="prev">Previous</a>
<a href="b.html" rel="next">Next</a></div><p>© Copyright 2026.</p></footer>
</div></div></section></div></body></html>"""


def test_sphinx_read_the_docs() -> None:
    page = page_of(SPHINX)
    assert page.text == (
        "# Install\n\nChoose File ‣ Open or `Ctrl`+`O`.\n\n## With pip\n\n"
        "```bash\npip install demo\n# done\n```\n\n> **Warning:** Not as root.\n\n"
        "```python\na = 1\nb = 2\n```\n\n"
        "| Name | Means |\n| --- | --- |\n| a\\|b | - x<br>- y |\n| a\\|b | z |"
    )
    assert [s.anchor for s in page.sections] == ["", "with-pip"]


MATERIAL = """<html><head><title>Setup - Demo</title></head><body>
<header class="md-header"><nav class="md-header__inner"><a href="." class="md-logo">logo</a></nav></header>
<div class="md-container"><nav class="md-tabs"><ul><li><a href="x/">Tab title</a></li></ul></nav>
<main class="md-main"><div class="md-main__inner md-grid">
<div class="md-sidebar md-sidebar--primary"><nav class="md-nav"><ul><li><a href="y/">Side title</a></li></ul></nav></div>
<div class="md-sidebar md-sidebar--secondary"><nav class="md-nav md-nav--secondary"><label>Table of contents</label>
<ul><li><a href="#tabs">Tabs</a></li></ul></nav></div>
<div class="md-content"><article class="md-content__inner md-typeset">
<a href="https://github.com/d/d/edit/main/setup.md" title="Edit this page" class="md-content__button md-icon"><svg></svg></a>
<h1 id="setup">Setup<a class="headerlink" href="#setup">¶</a></h1><p>Press <span class="keys"><kbd>Cmd</kbd><span>+</span><kbd>K</kbd></span>.</p>
<h2 id="tabs">Tabs<a class="headerlink" href="#tabs">¶</a></h2>
<div class="tabbed-set"><input type="radio"><input type="radio"><div class="tabbed-labels"><label>Mac</label><label>Linux</label></div>
<div class="tabbed-content"><div class="tabbed-block"><div class="language-sh highlight"><pre><span></span><code><a id="__codelineno-0-1" href="#__codelineno-0-1"></a>brew install x
</code></pre></div></div><div class="tabbed-block"><p>Use apt.</p></div></div></div>
<details class="tip"><summary>Faster</summary><p>Use the cache.</p></details>
<aside class="md-source-file"><span>Last update: May 2026</span></aside>
<form class="md-feedback"><fieldset><legend>Was this page helpful?</legend><button>Yes</button></fieldset></form>
</article></div></div></main></div>
<footer class="md-footer"><nav><a href="z/" rel="next">Next page</a></nav></footer></body></html>"""


def test_mkdocs_material() -> None:
    page = page_of(MATERIAL)
    assert page.text == (
        "# Setup\n\nPress `Cmd`+`K`.\n\n## Tabs\n\n**Mac**\n\n```sh\nbrew install x\n```\n\n"
        "**Linux**\n\nUse apt.\n\n> **Faster:** Use the cache."
    )


DOCUSAURUS = """<html><head><title>Intro | Demo</title></head><body><div id="__docusaurus">
<div role="region" aria-label="Skip to main content"><a class="skipToContent_fXgn" href="#x">Skip</a></div>
<nav class="navbar navbar--fixed-top"><a href="/">Demo</a></nav><div class="docsWrapper_hBAB"><div class="docRoot_UBD9">
<aside class="theme-doc-sidebar-container"><nav class="menu"><ul><li><a href="/b">Side title</a></li></ul></nav></aside>
<main class="docMainContainer_TBSr"><div class="container"><div class="row"><div class="col docItemCol_VOVn">
<div class="docItemContainer_Djhp"><article>
<nav class="theme-doc-breadcrumbs breadcrumbsContainer_Z_bl"><ul><li><a href="/">Home page</a></li></ul></nav>
<span class="theme-doc-version-badge badge">Version: 2</span>
<div class="tocCollapsible_ETCw theme-doc-toc-mobile"><button>On this page</button></div>
<div class="theme-doc-markdown markdown"><header><h1>Intro</h1></header><p>Words.</p>
<div class="theme-admonition theme-admonition-tip admonition_xJq3 alert alert--success">
<div class="admonitionHeading_Gvgb"><span class="admonitionIcon_Rf37"><svg></svg></span>tip</div>
<div class="admonitionContent_BuS1"><p>Do it twice.</p></div></div>
<h2 class="anchor anchorTargetStickyNavbar_Vzrq" id="run">Run it<a href="#run" class="hash-link" aria-label="Direct link to Run it">\u200b</a></h2>
<div class="language-js codeBlockContainer_Ckt0"><div class="codeBlockContent_QJqH"><pre class="prism-code language-js"><code class="codeBlockLines_e6Vv"><span class="token-line"><span class="token">let a = 1;</span><br></span><span class="token-line"><span>  b(a);</span><br></span></code></pre><div class="buttonGroup_M5ko"><button>Copy</button></div></div></div>
<div class="tabs-container"><ul role="tablist" class="tabs"><li role="tab">npm</li><li role="tab">yarn</li></ul>
<div class="margin-top--md"><div role="tabpanel"><p>npm i</p></div><div role="tabpanel" hidden><p>yarn add</p></div></div></div>
</div><footer class="theme-doc-footer"><a href="https://github.com/d/d/edit/m/i.md" class="theme-edit-this-page">Edit this page</a>
<span class="theme-last-updated">Last updated on May 1</span></footer></article>
<nav class="docusaurus-mt-lg pagination-nav"><a class="pagination-nav__link" href="/b">Next thing</a></nav></div></div>
<div class="col col--3"><div class="tableOfContents_bqdL theme-doc-toc-desktop"><ul><li><a href="#run">Run it</a></li></ul></div></div>
</div></div></main></div></div></div></body></html>"""


def test_docusaurus() -> None:
    page = page_of(DOCUSAURUS)
    assert page.text == (
        "# Intro\n\nWords.\n\n> **Tip:** Do it twice.\n\n## Run it\n\n"
        "```js\nlet a = 1;\n  b(a);\n```\n\n**npm**\n\nnpm i\n\n**yarn**\n\nyarn add"
    )
    assert [s.anchor for s in page.sections] == ["", "run"]


def test_hand_made_page_without_any_container() -> None:
    page = page_of(
        "<title>Shop help</title><body><div id=header><a href=/>Shop</a></div>"
        "<div id=nav><ul><li><a href=a>A page</a><li><a href=b>B page</a></ul></div>"
        "<table width=100%><tr><td><h1>Returns</h1><p>Send it back within 30 days."
        "<a name=how></a><h2>How</h2><ol start=3><li>Print<ul><li>in colour</ul><li>Post</ol>"
        "<dl><dt>Fee<dd>None</dl><p>To fix a typo, choose Edit this page.</table>"
        "<div class=footer>© 2026 Shop</div>"
    )
    assert page.text == (
        "# Returns\n\nSend it back within 30 days.\n\n## How\n\n"
        "3. Print\n   - in colour\n4. Post\n\nFee\n:   None\n\n"
        "To fix a typo, choose Edit this page."
    )
    assert [s.anchor for s in page.sections] == ["", "how"]


def test_a_navigation_name_on_a_big_block_of_prose_does_not_cost_it() -> None:
    prose = "<p>" + "Real words of the page. " * 20 + "</p>"
    page = page_of(f"<main><h1>T</h1><div class='toc-and-content nav-wrap'>{prose}</div></main>")
    assert "Real words" in page.text
    links = "<ul>" + "<li><a href=x>Other page</a></li>" * 20 + "</ul>"
    page = page_of(f"<main><h1>T</h1>{prose}<div class='side-nav'>{links}</div></main>")
    assert "Other page" not in page.text


def test_keys_that_touch_stay_apart() -> None:
    page = page_of("<main><h1>T</h1><p>Press <kbd>Shift</kbd><kbd>H</kbd>.</p></main>")
    assert page.sections[0].markdown == "Press `Shift` `H`."


def test_heading_outside_the_container_gives_the_title() -> None:
    page = page_of(
        "<article><header><h1>How to pay</h1></header>"
        "<div itemprop=articleBody><p>By card.</p><h2 id=c>Cash</h2><p>No.</p></div></article>"
    )
    assert page.title == "How to pay"
    assert [s.heading_path for s in page.sections] == [["How to pay"], ["How to pay", "Cash"]]


def test_sections_at_headings_and_their_anchors() -> None:
    page = page_of(
        "<main><h1 id=t>T</h1><p>lead</p><h2 id=a>A</h2><p>x</p><h3>No id here</h3><p>y</p>"
        "<h2 id=a>A again</h2><p>z</p><h2 id=e>Empty</h2><div id=f><h2>F</h2><p>w</p></div></main>"
    )
    assert [(s.anchor, s.heading_path[-1], s.markdown) for s in page.sections] == [
        ("", "T", "lead"),
        ("a", "A", "x"),
        ("no-id-here", "No id here", "y"),
        ("a-2", "A again", "z"),
        ("f", "F", "w"),
    ]


def test_hashes_know_content_only() -> None:
    html = b"<main><h1>T</h1><p>one</p><h2 id=a>A</h2><p>two</p></main>"
    first = extract_page(html, url="http://127.0.0.1:1/a", etag='"1"', last_modified="x")
    second = extract_page(html.replace(b"<p>", b"<p class=new>"), url="https://b.example/a")
    changed = extract_page(html.replace(b"two", b"three"), url="https://b.example/a")
    assert isinstance(first, Page)
    assert isinstance(second, Page)
    assert isinstance(changed, Page)
    assert first.content_hash == second.content_hash != changed.content_hash
    assert first.sections == second.sections
    assert first.sections[0] == changed.sections[0]
    assert first.sections[1].content_hash != changed.sections[1].content_hash
    assert Page.from_dict(first.to_dict()) == first


def test_links_within_the_site_are_text_and_others_stay() -> None:
    html = (
        "<main><h1>T</h1><p>See <a href='b.html'>B</a>, <a href='http://127.0.0.1:9/c'>C</a>, "
        "<a href='https://docs.example.com/d'>D</a> and <a href='https://e.example/'>E</a>.</p></main>"
    )
    page = page_of(html, fetched_url="http://127.0.0.1:9/help/page.html")
    assert page.sections[0].markdown == "See B, C, D and [E](https://e.example/)."


@pytest.mark.parametrize(
    ("raw", "header"),
    [
        ("é".encode("latin-1"), "iso-8859-1"),
        ("é".encode(), "iso-8859-1"),  # the header says Latin-1, the bytes are UTF-8
        (b"<meta charset=utf-16>" + "é".encode(), None),
        (b"<meta charset=windows-1252>" + "é".encode("cp1252"), None),
        ("é".encode("cp1252"), "no-such-charset"),
        ("é".encode("cp1252"), "utf-8"),
        ("é".encode("cp1252"), "base64"),
        (b"\xef\xbb\xbf" + "é".encode(), None),
        (("<h1>T</h1><p>" + "é").encode("utf-16"), None),
    ],
)
def test_charset(raw: bytes, header: str | None) -> None:
    page = page_of(raw, content_type_charset=header)
    assert page.text.endswith("é")


def test_malformed_and_deep_pages() -> None:
    page = page_of("<main><h1>T<p>one <b>two <i>three</b></div></span><li>four<pre>a <b")
    assert "four" in page.text
    deep = "<div class=x>" * 3000 + "<p>bottom <code>c</code></p>" + "</div>" * 3000
    assert page_of(f"<main><h1>T</h1>{deep}</main>").sections[0].markdown == "bottom `c`"
    lists = "<ul><li>x" * 500 + "</ul>" * 500
    assert "x" in page_of(f"<main><h1>T</h1>{lists}</main>").text
    fonts = "<font><b>" * 2000 + "end"
    assert "end" in page_of(f"<main><h1>T</h1><p>{fonts}</main>").text


@pytest.mark.parametrize("html", ["", "<html>", "<body><nav><a href=x>x</a></nav></body>"])
def test_a_page_without_content_is_skipped_with_a_reason(html: str) -> None:
    found = extract_page(html.encode(), url=URL)
    assert isinstance(found, Skipped)
    assert found.reason == "no-content"


def test_plain_text_is_what_a_reader_sees() -> None:
    page = page_of(
        "<main><h1>T</h1><p>Open <strong>Settings &gt; <em>API</em></strong>, then <kbd>C</kbd> or "
        "<a href='https://x.example/y'>this</a>; keep snake_case_names and 2 * 3 * 4.</p>"
        "<ul><li>one</li></ul><pre><code>x = `y`</code></pre>"
        "<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table></main>"
    )
    assert plain_text(page.sections[0].markdown) == (
        "Open Settings > API, then C or this; keep snake_case_names and 2 * 3 * 4. one x = `y` "
        "A B 1 2"
    )


@pytest.mark.parametrize(
    "part",
    [
        "<input>", "<ul><li>", "<b>x", "<b>x</b>y", "<code>x</code>", "<dl><dt>a<dd>", "<h2>a</h2>",
        "<table><tr><td>", "<div class=nav>", "<blockquote>", "<div class=title>x</div>", "<svg>",
        "<a href=http://e.example/>[[</a>", "<div class=note>", "<pre><div>x</div></pre>", "- ",
        "<h2>a<a href='#x' class=headerlink>#</a></h2>", "<div><div role=tablist>",
    ],
)  # fmt: skip
def test_no_markup_makes_a_page_slow(part: str) -> None:
    html = f"<html><body><main><h1>T</h1>{part * (100_000 // len(part))}</main>"
    began = time.process_time()
    extract_page(html.encode(), url=URL)
    assert time.process_time() - began < 5, "far more than it takes, far less than if squared"


def test_a_table_of_tall_cells_is_no_square() -> None:
    rows = "<tr><td rowspan=9999>x<td>y" * 2000
    page = page_of(f"<main><h1>T</h1><table>{rows}</table></main>")
    assert len(page.text) < 5_000_000


ASCIIDOC = """<body class="manpage"><div id="header"><h1>demo(1) Manual Page</h1><h2>NAME</h2>
<div class="sectionbody"><p>demo - show it</p></div></div><div id="content"><div class="sect1">
<h2 id="_synopsis">SYNOPSIS</h2><div class="sectionbody"><div class="verseblock">
<pre class="content"><em>demo</em> [--all]</pre></div></div></div></div>
<div id="footer"><div id="footer-text">Last updated 2026-01-01</div></div></body>"""


def test_asciidoc_manual_page_keeps_its_name_section() -> None:
    assert page_of(ASCIIDOC).text == (
        "# demo(1) Manual Page\n\n## NAME\n\ndemo - show it\n\n"
        "## SYNOPSIS\n\n```\ndemo [--all]\n```"
    )
    prose = "More words than the header has. " * 3
    site = (
        f"<div id=header><h1>Shop</h1><p>Best prices</p></div><div id=content><p>{prose}</p></div>"
    )
    assert "Best prices" not in page_of(f"<body>{site}</body>").text


DOXYGEN = """<title>Demo: Starting</title><body><div id="top"><div id="titlearea"><table><tr>
<td id="projectalign"><div id="projectname">Demo</div></td></tr></table></div></div>
<div id="doc-content"><div><div class="header"><div class="headertitle">
<div class="title">Starting </div></div></div><div class="contents"><p>First words.</p>
<div class="fragment"><div class="line"><span class="lineno">    1</span> int main() {</div>
<div class="line"><span class="lineno">    2</span>   return 0;</div></div></div></div></div>
<div id="nav-path" class="navpath"><ul><li class="footer">Generated by doxygen</li></ul></div></body>"""


def test_doxygen() -> None:
    page = page_of(DOXYGEN)
    assert page.text == "# Starting\n\nFirst words.\n\n```\n int main() {\n   return 0;\n```"


def test_doxygen_keeps_the_title_above_sections_and_leaves_what_shows_on_a_touch() -> None:
    page = page_of(
        "<title>Demo: Two Class Reference</title><body><div class=header><div class=summary>"
        "<a href=#pub>Public</a> | <a href=#all>All</a></div><div class=headertitle>"
        "<div class=title>Two Class Reference<div class=ingroups><a href=g1.html>First Group</a> | "
        "<a href=g2.html>Second Group</a></div></div></div></div><div class=contents>"
        "<h1>Details</h1><h2 class=memtitle><span class=permalink><a href=#a1>◆&nbsp;</a></span>"
        "add()</h2><p>Words.</p><div class=fragment><div class=line><span class=lineno>1</span>"
        "add();</div><div class=ttc><div class=ttname><a href=x.html>add</a></div>"
        "<div class=ttdeci>void add()</div></div></div></div></body>"
    )
    assert page.title == "Two Class Reference"
    assert page.text == (
        "# Two Class Reference\n\nFirst Group | Second Group\n\n## Details\n\n### add()\n\nWords."
        "\n\n```\nadd();\n```"
    )


def test_mdbook_takes_its_title_from_the_page_and_hides_hidden_lines() -> None:
    page = page_of(
        "<title>Install - The Book</title><body><nav class=sidebar><a href=x>Other</a></nav>"
        "<div class=menu-bar><h1 class=menu-title>The Book</h1></div><main><h2 id=install>Install"
        "</h2><p>Words.</p><pre><code class='language-rust'><span class=boring>fn main() {\n</span>"
        "let x = 1;\n<span class=boring>}\n</span></code></pre><h2>More</h2><p>End.</p></main>"
    )
    assert page.title == "Install"
    assert page.text == "# Install\n\nWords.\n\n```rust\nlet x = 1;\n```\n\n## More\n\nEnd."


def test_marks_stand_between_words_only() -> None:
    page = page_of(
        "<main><h1>T</h1><p><b>S</b>ave X<sub><i>0</i></sub>, <var>k</var>0, <i>one</i>, "
        "<b>Date:</b>today.</p><p><a href=x><img alt='A picture'></a></p></main>"
    )
    assert page.sections[0].markdown == "Save X0, k0, *one*, **Date:**today."
    page = page_of("<main><h1>T</h1><p><a href=http://e.example/x>Optional[t]</a></p></main>")
    assert plain_text(page.text) == "T Optional[t]"


def test_a_few_bad_bytes_do_not_cost_the_declared_charset() -> None:
    words = "<h1>Ä</h1><p>" + "größer als für Übung " * 5
    assert "größer" in page_of(words.encode() + b"\xff").text
    assert "größer" in page_of(words.encode("latin-1"), content_type_charset="utf-8").text
    both = b"\xef\xbb\xbf" + words.encode()
    assert "größer" in page_of(both, content_type_charset="windows-1251").text
    comment = b"<!-- <meta charset=koi8-r> --><meta charset=gb2312><h1>T</h1><p>"
    assert page_of(comment + "镕".encode("gb18030")).text.endswith("镕")
