"""The page at `/` in a real browser: Chromium, driven by Playwright.

Skipped where Playwright (the extra `browser`) or Chromium (`apt-get install chromium`) is missing.
It is longer than other files, since all tests share one browser and one server.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.small_folder import save_small_model
from serving.browser_visits import (
    COLOURS,
    Exported,
    Held,
    Ids,
    Visit,
    bare,
    contrast,
    luminance,
    running,
)
from small_models import COMPILES

from keras_s2s import Seq2SeqLM, generate_document
from keras_s2s.analysis.plots import attention_of
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.languages import ModelLanguages

playwright = pytest.importorskip(
    "playwright.sync_api", reason='needs Playwright: pip install "keras-s2s[browser]"'
)
playwright.expect.set_options(timeout=15_000)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
    # No backend has a part in what the browser does.
    pytest.mark.skipif(COMPILES, reason="once is enough"),
]

PAIRS = [("ab c", "c ba"), ("abc", "cba"), ("가나", "나가"), ("שלום", "םולש")]
SEARCH = {"num_beams": 3, "num_return_sequences": 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Seq2SeqLM:
    folder = tmp_path_factory.mktemp("small") / "small"
    return Seq2SeqLM.from_preset(save_small_model(folder, PAIRS))


@pytest.fixture(scope="module")
def address(model: Seq2SeqLM) -> Iterator[str]:
    languages = ModelLanguages.declared("en,he:de,ko")
    models = [Held("small", model, None, languages), Ids("ids", None), Exported("exported", None)]
    with running(models, Limits(max_wait=0.0, max_characters=100)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        # Without a sandbox it runs as root, too, as in containers.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    Held.go.set()
    visit = Visit(browser, address)
    yield visit
    visit.context.close()


def test_a_text_its_results_and_their_attention(
    visit: Visit, model: Seq2SeqLM, address: str
) -> None:
    page = visit.page
    options = page.locator("#model option, #source option, #target option").all_text_contents()
    assert options == ["small", "ids", "exported", "English", "Hebrew", "German", "Korean"]
    for text in ("ab c", "가나"):
        visit.generate(text)
        page.wait_for_selector("#heatmap td[data-row]")
        expected = model.generate(text, return_output=True, **SEARCH)
        assert visit.texts(".result .output") == expected.texts[0]
        scores = [float(s.replace("\u2212", "-")) for s in visit.texts(".result .score")]
        assert scores == pytest.approx(expected.scores[0].tolist(), abs=5.1e-4)
        assert re.fullmatch(r"3 results in [\d.]+ s", visit.text("#text-status"))
        sources, targets, weights = attention_of(model, text, None, **SEARCH)
        assert page.locator("#heatmap td[data-row]").count() == weights.size
        assert page.locator("#heatmap th[scope=col]").count() == len(sources)
        assert page.locator("#heatmap th[scope=row]").count() == len(targets)
        # A row of the heatmap is a piece of the output: its darkest cell has the largest weight.
        shown = page.locator("#heatmap td[data-row='1']").evaluate_all(
            "cells => cells.map(cell => Number(cell.style.getPropertyValue('--weight')))"
        )
        assert shown == pytest.approx((weights[1] / weights.max()).tolist(), abs=1e-3)
    # That of another text is not shown in the meantime.
    held: list[Any] = []
    page.route("**/page/attention", lambda route: held.append(route))
    visit.generate("ab c ab c")
    playwright.expect(page.get_by_role("heading", name="Attention")).to_be_visible()
    assert page.locator("#heatmap").is_hidden()
    held[0].continue_()
    page.unroute("**/page/attention")
    playwright.expect(page.locator("#heatmap th[scope=col]")).to_have_count(10)
    # Another result has its own attention.
    text = "ab c"
    visit.generate(text)
    expected = model.generate(text, return_output=True, **SEARCH)
    page.get_by_role("radio").nth(1).check()
    playwright.expect(page.locator("#attention[aria-busy]")).to_have_count(0)
    rows = len(expected.token_ids[0][1][: expected.lengths[0][1]])
    playwright.expect(page.locator("#heatmap th[scope=row]")).to_have_count(rows)
    assert (
        "".join(visit.texts("#heatmap th[scope=row]"))
        .replace("␣", " ")
        .startswith(expected.texts[0][1])
    )
    assert visit.problems == []
    assert visit.requests and all(url.startswith(address) for url in visit.requests)


def test_attention_answers_to_the_pointer(visit: Visit, model: Seq2SeqLM) -> None:
    page = visit.page
    visit.generate("ab c")
    page.wait_for_selector("#heatmap td[data-row]")
    _, _, weights = attention_of(model, "ab c", None, **SEARCH)
    page.hover("#output-line [data-row='1']")
    # Each source piece is tinted by what the piece of the output attends to.
    tints = page.locator("#source-line [data-column]").evaluate_all(
        "units => units.map(unit => Number(unit.style.getPropertyValue('--weight')))"
    )
    assert tints == pytest.approx((weights[1] / weights.max()).tolist(), abs=1e-3)
    strongest = page.locator("#source-line [data-column]").nth(int(weights[1].argmax()))
    colours = [
        page.locator("#source-line [data-column]")
        .nth(int(i))
        .evaluate("unit => getComputedStyle(unit).backgroundColor")
        for i in (weights[1].argmax(), weights[1].argmin())
    ]
    assert colours[0] != colours[1]
    assert page.locator("#heatmap th.marked").count() == 1
    told = bare(visit.text("#readout"))
    assert f"attends to “{strongest.inner_text()}” {weights[1].max():.2f}" in told
    page.hover("#source-line [data-column='0']")
    tints = page.locator("#output-line [data-row]").evaluate_all(
        "units => units.map(unit => Number(unit.style.getPropertyValue('--weight')))"
    )
    assert tints == pytest.approx((weights[:, 0] / weights.max()).tolist(), abs=1e-3)
    assert bare(visit.text("#readout")).startswith("“a” is attended to by “")
    page.hover("#heatmap td[data-row='2'][data-column='1']")
    assert bare(visit.text("#readout")).endswith(f"attends to “b” {weights[2, 1]:.2f}")
    marked = page.locator("#heatmap td.marked").count()
    assert marked == sum(weights.shape) - 1
    page.hover("h1")
    assert page.locator("#attention .marked").count() == 0
    assert visit.text("#readout").startswith("Point at a part")
    # Words: spaces and special tokens belong to none.
    page.get_by_label("Words").check()
    assert visit.texts("#heatmap th[scope=col]") == ["ab", "c"]
    words = model.generate("ab c", **SEARCH)[0].split()
    assert visit.texts("#output-line [data-row]") == words
    assert page.locator("#heatmap td[data-row]").count() == 2 * len(words)
    assert visit.problems == []


def test_a_draft_comes_first(visit: Visit, model: Seq2SeqLM) -> None:
    page = visit.page
    Held.go.clear()
    page.get_by_role("textbox", name="Text").fill("abc")
    page.keyboard.press("Control+Enter")
    greedy = model.generate("abc", sampler="greedy")
    playwright.expect(page.locator("#draft-text")).to_have_text(greedy)
    assert page.locator("#draft-text").evaluate("box => box.childNodes.length") > 1
    assert page.locator("#output").get_attribute("aria-busy") == "true"
    page.get_by_role("button", name="Stop").click()
    playwright.expect(page.locator("#text-status")).to_have_text("Stopped")
    assert page.locator("#draft-text").text_content() == greedy
    # Once more, to the end.
    page.get_by_role("button", name="Generate").click()
    playwright.expect(page.locator("#draft-text")).to_have_text(greedy)
    Held.go.set()
    page.wait_for_selector(".result")
    assert page.locator("#draft-box").is_hidden()
    assert page.locator("#output").get_attribute("aria-busy") is None
    page.get_by_label("Show a draft first").uncheck()
    page.get_by_label("Results", exact=True).select_option("1")
    asked = len(visit.requests)
    page.get_by_role("button", name="Generate").click()
    page.wait_for_selector(".single .result")
    assert visit.texts(".result .output") == [model.generate("abc")]
    assert not any(url.endswith("stream") for url in visit.requests[asked:])
    assert visit.problems == []


def test_the_keyboard_is_enough(visit: Visit, model: Seq2SeqLM) -> None:
    page, press = visit.page, visit.page.keyboard.press

    def tab(count: int = 1) -> list[str]:
        places = []
        for _ in range(count):
            press("Tab")
            places.append(visit.focused())
            # The focus can be seen.
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        return places

    assert tab(5) == ["model", "source", "target", "text-tab", "text"]
    page.keyboard.type("ab c")
    assert tab(3) == ["results", "draft", "generate"]
    press("Enter")
    page.wait_for_selector("#heatmap td[data-row]")
    assert visit.focused() == "generate"
    assert tab() == ["result-0"]
    with page.expect_response("**/page/attention"):
        press("ArrowDown")
    assert visit.focused() == "result-1"
    assert tab(2) == ["units", "source-line"]
    assert bare(visit.text("#readout")).startswith("“a” is attended to by")
    press("ArrowRight")
    assert bare(visit.text("#readout")).startswith("“b” is attended to by")
    press("End")
    assert page.evaluate("document.activeElement.dataset.column") == "4"
    assert tab(2) == ["output-line", "heatmap"]
    place = "[document.activeElement.dataset.row, document.activeElement.dataset.column]"
    for key, expected in (
        ("ArrowRight", ["0", "1"]),
        ("ArrowDown", ["1", "1"]),
        ("ArrowLeft", ["1", "0"]),
        ("ArrowLeft", ["1", None]),
        ("ArrowLeft", ["1", None]),
        ("ArrowUp", ["0", None]),
        ("ArrowRight", ["0", "0"]),
        ("ArrowUp", [None, "0"]),
        ("Control+Home", ["0", "0"]),
        ("End", ["0", "4"]),
    ):
        press(key)
        assert page.evaluate(place) == expected
    spoken = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert re.fullmatch(r"“.+”, “.+”: \d\.\d\d", bare(spoken))
    # A change of what is shown takes nobody's focus away.
    page.evaluate("document.getElementById('result-0').dispatchEvent(new Event('change'))")
    playwright.expect(page.locator(":focus")).to_have_attribute("data-column", "0")
    assert page.evaluate(place) == ["0", "0"]
    # Back to the tabs, whose arrow keys choose the panel.
    page.locator("#text-tab").focus()
    press("ArrowRight")
    assert visit.focused() == "document-tab"
    assert page.locator("#document-panel").is_visible()
    assert page.locator("#text-panel").is_hidden()
    assert tab(4) == ["file", "format", "document", "generate-document"]
    assert visit.problems == []


def test_names_roles_and_live_regions(visit: Visit) -> None:
    visit.generate("ab c")
    visit.page.wait_for_selector("#heatmap td[data-row]")
    # Every control has a name.
    for control in visit.page.locator("button, select, input, textarea").all():
        assert control.evaluate("e => e.labels?.length || e.ariaLabel || e.textContent.trim()")
    assert visit.page.locator("#output").get_attribute("aria-live") == "polite"
    assert visit.page.locator("[role=status]").count() == 2
    assert visit.page.locator("[role=alert]").count() == 3
    assert visit.page.get_by_role("grid", name="Attention").is_visible()


def test_errors_are_told(visit: Visit) -> None:
    page, alert = visit.page, visit.page.locator("#text-error")
    page.get_by_role("button", name="Generate").click()
    playwright.expect(alert).to_have_text("There is no text yet: type one first.")
    assert visit.focused() == "text"
    page.get_by_role("textbox", name="Text").fill("a" * 40)
    page.keyboard.press("Control+Enter")
    playwright.expect(alert).to_contain_text("Source 0 has 41 ids")
    page.get_by_role("textbox", name="Text").fill("a" * 101)
    assert "over" in page.locator("#text-count").get_attribute("class")
    page.keyboard.press("Control+Enter")
    playwright.expect(alert).to_contain_text("at most 100 are taken")
    page.route("**/page/generate", lambda route: route.abort())
    page.get_by_role("textbox", name="Text").fill("ab c")
    page.keyboard.press("Control+Enter")
    playwright.expect(alert).to_have_text("The server does not reply. Is it still running?")
    assert page.locator(".result").count() == 0
    page.unroute("**/page/generate")
    visit.generate("ab c")
    assert alert.is_hidden()


def test_models_that_cannot(visit: Visit) -> None:
    page = visit.page
    page.get_by_label("Model", exact=True).select_option("ids")
    assert visit.text("#text-note") == "This model reads ids."
    assert page.get_by_role("button", name="Generate").is_disabled()
    assert page.locator("#source").is_hidden()
    page.get_by_role("tab", name="Document").click()
    assert visit.text("#document-note") == "This model reads ids."
    page.get_by_label("Model", exact=True).select_option("exported")
    assert visit.text("#document-note") == "An exported model has no documents."
    assert page.locator("#generate-document").is_disabled()
    page.get_by_role("tab", name="Text").click()
    assert page.locator("#text-note").is_hidden()
    assert page.locator("#results").is_hidden() and page.locator("#draft").is_hidden()
    visit.generate("abc")
    assert visit.texts(".result .output") == ["ABC"]
    told = visit.text("#several-note")
    assert told == "An exported model has no several. An exported model has no stream."
    assert visit.text("#attention-note") == "An exported model has no attention."
    assert page.locator("#heatmap").is_hidden()
    assert visit.problems == []


PAGE = '<p>abc. <b>ab c.</b></p>\n<p title="x">abc &amp; abc.</p>\n'


def test_documents(visit: Visit, model: Seq2SeqLM, tmp_path: Path) -> None:
    pytest.importorskip("sentencex")
    page = visit.page
    page.get_by_role("tab", name="Document").click()
    page.get_by_role("button", name="Generate").click()
    alert = page.locator("#document-error")
    playwright.expect(alert).to_contain_text("There is no document yet")
    files = {
        "story.html": (PAGE, "html"),
        "story.txt": ("abc.\r\n\r\n\tab c. abc.\r\n" + "abc " * 20, "text"),
        "film.srt": ("1\n00:00:01,000 --> 00:00:02,000\nabc.\n", "srt"),
    }
    for name, (text, format_) in files.items():
        (tmp_path / name).write_bytes(text.encode())
        page.get_by_label("File").set_input_files(tmp_path / name)
        playwright.expect(page.get_by_label("Format")).to_have_value(format_)
        page.get_by_label("To", exact=True).select_option("ko")
        page.get_by_role("button", name="Generate").click()
        download = page.get_by_role("link", name="Download")
        download.wait_for()
        expected = generate_document(model, text, format_, src_lang="en")  # type: ignore[arg-type]
        sources = visit.texts("#sentences tbody td:first-child")
        outputs = visit.texts("#sentences tbody td:last-child > [dir]")
        assert sources == [each.source for each in expected.sentences]
        assert outputs == [each.text for each in expected.sentences]
        split = sum(each.was_split for each in expected.sentences)
        assert sum("in" in told for told in visit.texts(".remark") if "parts" in told) == split
        with page.expect_download() as loading:
            download.click()
        stem, end = name.split(".")
        assert loading.value.suggested_filename == f"{stem}.ko.{end}"
        assert Path(loading.value.path()).read_bytes().decode() == expected.text
    page.get_by_text("The whole document").click()
    assert page.locator("#whole-text").text_content() == expected.text
    # Markup is shown, and never becomes a part of the page.
    assert page.locator("#document-panel b").count() == 0
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    page.get_by_label("File").set_input_files(tmp_path / "latin.txt")
    playwright.expect(alert).to_contain_text("latin.txt is not a text in UTF-8")
    # What is typed is sent as it is typed.
    page.get_by_label("Format").select_option("text")
    page.get_by_role("textbox", name="Document").fill("ab c.")
    page.keyboard.press("Control+Enter")
    playwright.expect(page.locator("#sentences tbody tr")).to_have_count(1)
    assert page.get_by_role("link", name="Download").text_content() == "Download document.ko.txt"
    assert visit.problems == []


def test_the_progress_of_a_document(visit: Visit) -> None:
    pytest.importorskip("sentencex")
    page = visit.page
    page.get_by_role("tab", name="Document").click()
    # Two batches of different sentences.
    lines = [" ".join("abc"[i // 3**k % 3] for k in range(4)) for i in range(40)]
    page.get_by_role("textbox", name="Document").fill("\n".join(lines))
    bar = page.get_by_role("progressbar", name="Sentences generated")
    assert page.locator("#document-progress").is_hidden()
    Held.go.clear()
    page.get_by_role("button", name="Generate").click()
    playwright.expect(page.locator("#document-count")).to_have_text("0 of 40 sentences")
    playwright.expect(page.locator("#document-status")).to_have_text("Generating 40 sentences …")
    assert bar.get_attribute("aria-valuetext") == "0 of 40 sentences"
    assert bar.evaluate("bar => [bar.value, bar.max]") == [0, 40]
    assert contrast(page, "#document-count") >= 4.5
    # It can be stopped from the keyboard, and begun again.
    page.locator("#document-stop").focus()
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#document-status")).to_have_text("Stopped")
    assert page.locator("#document-progress").is_hidden()
    page.evaluate(
        """() => {
            window.told = [];
            const note = () => window.told.push(document.getElementById('document-bar').value);
            const bar = document.getElementById('document-bar');
            new MutationObserver(note).observe(bar, { attributes: true });
        }"""
    )
    page.get_by_role("button", name="Generate").click()
    Held.go.set()
    playwright.expect(page.locator("#sentences tbody tr")).to_have_count(40)
    assert page.locator("#document-progress").is_hidden()
    told = page.evaluate("window.told")
    assert told == sorted(told) and told[-1] == 40 and {0, 32} & set(told)
    assert re.fullmatch(r"40 sentences in [\d.]+ s", visit.text("#document-status"))
    assert visit.problems == []


def test_right_to_left(visit: Visit) -> None:
    page = visit.page
    page.get_by_label("From", exact=True).select_option("he")
    visit.generate("שלום")
    page.wait_for_selector("#heatmap td[data-row]")
    assert page.locator("#text").evaluate("e => getComputedStyle(e).direction") == "rtl"
    assert page.locator("#source-line").get_attribute("lang") == "he"
    assert page.locator("#source-line").get_attribute("dir") == "rtl"
    # The first piece of the source is on the right, and the arrow to the left goes on.
    first, second = (
        page.locator(f"#heatmap th[data-column='{i}']").bounding_box()["x"] for i in (0, 1)
    )
    assert first > second
    page.locator("#source-line button").first.focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.dataset.column") == "1"
    page.locator("#heatmap td[data-row='0'][data-column='0']").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.dataset.column") == "1"


def test_languages_that_are_chosen_at_first(browser: Any, address: str) -> None:
    for locale, target in (("ko-KR", "ko"), ("en-US", "de"), ("fr-FR", "de")):
        visit = Visit(browser, address, locale=locale)
        chosen = [visit.page.locator(side).input_value() for side in ("#source", "#target")]
        assert chosen == ["en", target]
        visit.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_windows_light_and_dark(browser: Any, address: str, scheme: str) -> None:
    Held.go.set()
    narrow = {"width": 320, "height": 640}
    visit = Visit(browser, address, viewport=narrow, color_scheme=scheme)
    page = visit.page
    page.get_by_role("button", name="Generate").click()
    assert contrast(page, "#text-error") >= 4.5
    visit.generate("ab c ab c")
    page.wait_for_selector("#heatmap td[data-row]")
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 320
    assert (luminance(page.locator("body").evaluate(COLOURS)[0]) < 0.1) == (scheme == "dark")
    for selector in (
        "h1", "label[for=model]", "#text", "#text-count", "#text-status", ".result .output",
        ".score", "button.primary", "#text-tab", "#document-tab", "#readout", "#heatmap th",
        ".unit.special", "#legend-text",
    ):  # fmt: skip
        assert contrast(page, selector) >= 4.5, selector
    page.get_by_role("tab", name="Document").click()
    page.get_by_role("textbox", name="Document").fill("abc. ab c.\n" + "a" * 60)
    page.get_by_role("button", name="Generate").click()
    page.wait_for_selector("#sentences td")
    page.get_by_text("The whole document").click()
    assert page.evaluate(width) == 320
    for selector in ("#sentences td", ".remark", "#download", "#whole-text"):
        assert contrast(page, selector) >= 4.5, selector
    assert visit.problems == []
    visit.context.close()


def test_the_policy_holds(visit: Visit) -> None:
    """The browser itself refuses what the page must not do."""
    refused = visit.page.evaluate(
        """async () => {
            const found = [];
            addEventListener('securitypolicyviolation', (e) => found.push(e.effectiveDirective));
            await fetch('http://127.0.0.1:9/').catch(() => {});
            const image = new Image();
            const gone = new Promise((resolve) => { image.onerror = resolve; });
            image.src = 'http://127.0.0.1:9/x.png';
            await gone;
            const script = document.createElement('script');
            script.textContent = 'window.ran = true';
            document.body.append(script);
            await new Promise((resolve) => setTimeout(resolve, 50));
            return [found, window.ran === undefined];
        }"""
    )
    assert refused == [["connect-src", "img-src", "script-src-elem"], True]
