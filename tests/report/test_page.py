"""The page in a real browser: it loads from the disk, does what it shows, and no name can do harm."""

import json
import re
import shutil

import pytest

from fastscnn_opt.report.page import render
from fastscnn_opt.scoring.pictures import predictions

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LAPTOP, PHONE = {"width": 1366, "height": 800}, {"width": 390, "height": 844}

HOSTILE = [
    "</script><script>document.title = 'taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "'\"`;alert(1)//${alert(1)}{{7*7}}{% raw %}",
    "\x1b[31mred\x1b[0m\u202egnp.exe",
    "x" * 2000,
    "<!--",
    "javascript:alert(1)",
]


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium of the system."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a page from the disk; what it says to the console and asks of the network must be nothing."""
    said, pages = [], []

    def open_page(text, viewport=LAPTOP, scheme="light"):
        file = tmp_path / "report.html"
        file.write_text(text, encoding="utf-8")
        page = browser.new_page(viewport=viewport, color_scheme=scheme)
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on(
            "request",
            lambda request: said.append(request.url) if not request.url.startswith(("data:", "file:")) else None,
        )
        page.goto(file.as_uri())
        page.wait_for_selector("body[data-charts=drawn]")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert said == []


def column(page, heading: str) -> list[str]:
    return page.eval_on_selector_all(
        f'#table td[data-label="{heading}"]', "cells => cells.map(cell => cell.firstChild.textContent.trim())"
    )


def colour_of(page, selector: str) -> str:
    return page.eval_on_selector(selector, "element => getComputedStyle(element).backgroundColor")


def test_a_page_shows_what_the_run_holds(visit, typical_page):
    page = visit(typical_page)
    assert page.title() == "Variants of net.onnx"
    assert column(page, "row") == ["base", "tidy", "coarse", "broken"]
    assert [mark.inner_text() for mark in page.query_selector_all("#table .mark")] == [
        *("baseline", "recommended", "front", "front", "beyond the gate", "crashed")
    ]
    assert "the process ended" in page.inner_text("#table")
    assert page.inner_text("#answers dd strong >> nth=0").startswith("“tidy”")
    assert (
        len(
            page.query_selector_all('[data-chart="tradeoff"] .mark-symbol.role-mark path[aria-roledescription="point"]')
        )
        == 3
    )


def test_a_click_on_a_heading_sorts_and_a_second_turns_the_order(visit, typical_page):
    page = visit(typical_page)
    page.click("text=images/s >> visible=true")
    assert column(page, "row") == ["coarse", "tidy", "base", "broken"]
    page.click("#table button:text('images/s')")
    assert column(page, "row") == ["base", "tidy", "coarse", "broken"]
    page.click("#table button:text-is('row')")
    assert column(page, "row") == ["base", "broken", "coarse", "tidy"]
    assert page.get_attribute("#table th:nth-child(2)", "aria-sort") == "ascending"


def test_hovering_a_point_tells_about_it(visit, typical_page):
    page = visit(typical_page)
    page.hover('[data-chart="tradeoff"] .mark-symbol.role-mark path[aria-roledescription="point"] >> nth=2')
    page.wait_for_selector("#vg-tooltip-element.visible")
    text = page.inner_text("#vg-tooltip-element")
    assert "coarse" in text
    assert "2.00 [1.96, 2.04]" in text
    assert "loses too much accuracy" in text


def test_the_theme_follows_the_system_until_the_button_says_otherwise(visit, typical_page):
    page = visit(typical_page, scheme="dark")
    dark = colour_of(page, "body")
    page.click("#theme")
    light = colour_of(page, "body")
    page.click("#theme")
    assert (light, colour_of(page, "body")) == ("rgb(255, 255, 255)", dark)
    assert dark != light


def test_the_confusion_matrix_is_that_of_the_chosen_row(visit, typical):
    typical.records[1].details.confusion[0] = [1, 3, *[0] * 17]
    page = visit(render(typical.content()))
    assert page.inner_text("#confusion tbody tr >> nth=0").split() == ["road", "100"]
    page.select_option("#confusion-row", index=1)
    assert page.inner_text("#confusion tbody tr >> nth=0").split() == ["road", "25", "75"]
    cell = page.query_selector("#confusion tbody tr >> nth=0 >> td >> nth=1")
    assert cell.get_attribute("title") == "label road, predicted sidewalk: 3 pixels, 75.00 %"


def test_pictures_show_the_chosen_row_and_the_slider_moves_the_line(visit, typical_page):
    page = visit(typical_page)
    assert page.inner_text(".picture .changed >> nth=0").startswith("50.00 %")
    assert page.inner_text(".picture .chosen >> nth=0") == "3 coarse"
    assert page.eval_on_selector_all(".picture img", "images => images.every(image => image.naturalWidth === 64)")
    page.fill(".slider input >> nth=0", "20")
    assert (
        page.eval_on_selector(".slider .prediction", "image => getComputedStyle(image).clipPath")
        == "inset(0px 0px 0px 20%)"
    )


def test_the_copy_button_gives_the_pipeline(visit, typical_page):
    page = visit(typical_page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#details details[open] .copy >> nth=0")
    page.wait_for_selector("#details .copy:has-text('Copied'), #details .copy:has-text('Selected')")
    assert page.evaluate("navigator.clipboard.readText()") == "tidy"


def test_every_change_and_skip_is_there_to_be_read(visit, typical_page):
    page = visit(typical_page)
    text = page.eval_on_selector("#details details[open]", "details => details.textContent")
    assert all(words in text for words in ("head tidy did it", "body not linear", "checked and kept", "5" * 64))


def test_two_runs_show_what_changed(visit, build):
    before = build("one").row("base", 0.6, 10).row("fast", 0.6, 20).content()
    page = visit(render(build("two").row("base", 0.6, 10).row("fast", 0.5, 20).content(), before))
    assert [cell.inner_text() for cell in page.query_selector_all("#comparison b")] == ["same", "less accurate"]
    assert page.get_attribute("#comparison b >> nth=1", "class") == "bad"


def test_hostile_names_do_no_harm(visit, build):
    nodes = {"changes": [{"node": name, "what": name} for name in HOSTILE], "skips": []}
    step = {
        "pass": HOSTILE[0], "text": HOSTILE[1], "contract": "exact", "changes": 7, "skips": 0, "verified": True,
        "max_abs_diff": None, "nodes": nodes,
    }  # fmt: skip
    file = {"path": HOSTILE[0], "sha256": "0", "text": "\n".join(HOSTILE)}
    builder = build(baseline=HOSTILE[0], variants_file=file, model={"file": f"/{HOSTILE[1]}", "key": "m"}, max_drop=0.5)
    for index, name in enumerate(HOSTILE):
        builder.row(name, 0.6 - index / 100, 10 + index, passes=name, steps=[step], target=HOSTILE[index % 2])
    text = render(builder.row("failed", status="failed", reason=HOSTILE[0]).content())
    page = visit(text)
    assert page.title() != "taken"
    assert page.eval_on_selector_all("script", "scripts => scripts.length") == 3
    assert page.eval_on_selector_all("img[src=x]", "images => images.length") == 0
    shown = page.inner_text("#table")
    assert all(name in shown for name in HOSTILE if name.isprintable())
    assert "\x1b" not in text
    assert "\u202e" not in text
    for index in range(len(HOSTILE)):
        point = page.locator('[data-chart="tradeoff"] .mark-symbol.role-mark path[aria-roledescription="point"]').nth(
            index
        )
        point.hover(force=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_control_characters_are_replaced_in_the_text_of_the_page(build):
    text = render(build().row("base \x1b[31m \u202e 变体", 0.6, 10, passes="a\x00\nb").content())
    assert "base \ufffd[31m \ufffd 变体" in text
    assert "a\ufffd\nb" in text
    assert not {"\x1b", "\x00", "\u202e"} & set(text)


@pytest.mark.parametrize("viewport", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_the_page_is_never_wider_than_the_screen(visit, typical_page, viewport):
    page = visit(typical_page, viewport)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for chart in page.query_selector_all("[data-chart] svg"):
        box = chart.bounding_box()
        assert box["x"] + box["width"] <= viewport["width"]


def test_no_label_of_a_plot_covers_another(visit, build):
    builder = build(max_drop=1.0)
    for index in range(9):
        builder.row("base" if index == 0 else f"a variant called {index}", 0.6 - index % 3 / 1000, 10 + index / 50)
    page = visit(render(builder.content()))
    boxes = page.eval_on_selector_all(
        '[data-chart="tradeoff"] .mark-text.role-mark text',
        """texts => texts.map(text => text.getBoundingClientRect())
                    .map(box => [box.left, box.top, box.right, box.bottom])""",
    )
    assert len(boxes) >= 8
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]


def test_a_page_on_paper_is_light_and_leaves_out_what_cannot_be_pressed(visit, typical_page):
    page = visit(typical_page, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert colour_of(page, "body") == "rgb(255, 255, 255)"
    assert not page.is_visible("#theme")
    assert not page.is_visible(".copy >> nth=0")


def test_a_run_of_an_earlier_release_still_gives_a_page(visit, build):
    builder = build(data={"is": "images", "key": "d"}).row("base", 0.6, 10, old=True).row("fast", 0.6, 20, old=True)
    for name in ("machine", "versions", "started"):
        del builder.about[name]
    page = visit(render(builder.content()))
    assert page.inner_text("#answers dd strong >> nth=0").startswith("“fast”: 2.00 times")
    assert "saved no label maps" in page.inner_text("#pictures")


def test_a_run_in_which_nothing_was_scored_gives_a_page(visit, build):
    page = visit(render(build().row("base", status="failed", reason="no such node").content()))
    assert "no such node" in page.inner_text("#table")
    assert "No row has both" in page.inner_text("#tradeoff")


def test_nothing_in_a_page_points_to_the_network(typical_page):
    before_scripts = typical_page.partition('<script type="application/json"')[0]
    sources = re.findall(r"""(?:src|href)\s*=\s*["']?(.{5})""", before_scripts)
    assert set(sources) == {"data:"}
    assert "default-src 'none'" in typical_page


def test_a_large_page_stays_below_eight_megabytes(build, monkeypatch):
    import numpy as np

    monkeypatch.setattr(predictions, "MOST_IMAGES", 6)
    rng = np.random.default_rng(0)
    builder = build(data={"is": "noise", "key": "d"})
    for index in range(10):
        maps = [rng.integers(0, 19, (256, 256), dtype=np.uint8) for _ in range(6)]
        builder.row("base" if index == 0 else f"variant {index}", 0.6, 10 + index, maps=maps)
    page = render(builder.content())
    assert len(page.encode()) < 8_000_000
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert [len(views) for views in data["views"]] == [10] * 6
