"""What readers do with every page: switch the mode, move by keys, take it offline."""

import re

from playwright.sync_api import expect

from cnnseq_helpers.plotting import PALETTE
from tests.conftest import ROOT

CHAPTER = "notebooks/video/next_frame.html"
STYLE = "(element, name) => getComputedStyle(element)[name]"


def style(locator, name):
    return locator.evaluate(STYLE, name)


def test_the_button_leads_to_dark_mode_which_stays(page, address):
    page.emulate_media(color_scheme="light")
    page.goto(f"{address}/{CHAPTER}")
    assert style(page.locator("body"), "backgroundColor") == "rgb(255, 255, 255)"
    for _ in range(3):  # light, dark, as the system has it
        page.locator(".theme-switch-button").first.click()
        if page.locator("html").get_attribute("data-mode") == "dark":
            break
    page.goto(f"{address}/book/welcome.html")
    assert style(page.locator("body"), "backgroundColor") == "rgb(18, 18, 18)"


def test_dark_mode_follows_the_system(page, address):
    page.emulate_media(color_scheme="dark")
    page.goto(f"{address}/{CHAPTER}")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_dark_mode_turns_drawings_and_leaves_frames(page, address):
    page.emulate_media(color_scheme="dark")
    page.goto(f"{address}/{CHAPTER}")
    drawings = page.locator(".cell_output img[src$='.svg']:not(.frames)")
    frames = page.locator(".cell_output img.frames")
    assert drawings.count() >= 2
    assert frames.count() >= 2
    for drawing in drawings.all():
        assert "invert" in style(drawing, "filter")
    for picture in frames.all():
        assert style(picture, "filter") == "none"


def test_the_theme_has_the_colours_of_the_figures():
    css = (ROOT / "book/_static/book.css").read_text().lower()
    light, dark = re.findall(r"--book-blue: (#\w+)", css)
    assert (light, dark) == (PALETTE[0].lower(), PALETTE[5].lower())
    assert f"--book-vermilion: {PALETTE[1].lower()}" in css
    assert f"--book-green: {PALETTE[2].lower()}" in css


def test_the_first_key_leads_past_the_menu_and_focus_is_seen(page, address):
    page.goto(f"{address}/{CHAPTER}")
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    expect(focused).to_have_text("Skip to main content")
    assert float(style(focused, "outlineWidth").removesuffix("px")) >= 2
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")


def test_focus_is_seen_on_every_button(page, address):
    page.goto(f"{address}/{CHAPTER}")
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert style(focused, "outlineStyle") == "solid"
        assert float(style(focused, "outlineWidth").removesuffix("px")) >= 2
        seen.add(focused.evaluate("element => element.title || element.ariaLabel"))
    assert {"Toggle primary sidebar", "Download this page", "Color mode"} <= seen


def test_the_menu_opens_on_a_phone(page, address):
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{address}/{CHAPTER}")
    link = page.get_by_role("link", name="Glossary")
    expect(link.first).not_to_be_in_viewport()
    page.locator(".primary-toggle").click()
    link.last.scroll_into_view_if_needed()
    expect(link.last).to_be_in_viewport()


def test_pages_lead_to_their_neighbours(page, address):
    page.goto(f"{address}/{CHAPTER}")
    page.locator(".right-next").click()
    expect(page).to_have_url(f"{address}/notebooks/video/encoder_decoder.html")
    page.locator(".left-prev").click()
    expect(page).to_have_url(f"{address}/{CHAPTER}")


def wait_until_shown(page, ending):
    page.locator("picture.animation").scroll_into_view_if_needed()
    page.wait_for_function(
        "ending => document.querySelector('picture.animation img')"
        ".currentSrc.replace(/.*[0-9a-f]{64}/, '') === ending",
        arg=ending,
    )


def test_an_animation_can_be_stopped(page, address):
    page.goto(f"{address}/{CHAPTER}")
    wait_until_shown(page, ".png")
    page.get_by_role("button", name="Stop").click()
    wait_until_shown(page, ".still.png")
    page.get_by_role("button", name="Play").press("Enter")
    wait_until_shown(page, ".png")


def test_less_motion_means_a_still_picture(page, address):
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{address}/{CHAPTER}")
    wait_until_shown(page, ".still.png")


def test_pages_work_from_the_file_system(page, html):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("index.html", CHAPTER, "book/welcome.html", "book/api.html"):
        page.goto((html / name).as_uri())
        expect(page.locator("h1:visible")).to_have_count(1)
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


NO_STORAGE = """
Object.defineProperty(window, "localStorage", {
  configurable: true, get() { throw new DOMException("", "SecurityError"); } });
"""


def test_pages_work_where_nothing_may_be_stored(own_page, address):
    own_page.add_init_script(NO_STORAGE)
    own_page.goto(f"{address}/{CHAPTER}")
    own_page.locator(".theme-switch-button").first.click()
    own_page.goto(f"{address}/search.html?q=constructor")
    expect(own_page.locator("#search-results")).to_contain_text("No page holds")


def test_without_scripts_pages_are_light_and_whole(browser, address):
    context = browser.new_context(java_script_enabled=False, color_scheme="dark")
    page = context.new_page()
    page.goto(f"{address}/{CHAPTER}")
    link = page.locator("article p a:not(:has(.term))").first
    assert style(page.locator("body"), "backgroundColor") == "rgb(255, 255, 255)"
    assert style(link, "color") == "rgb(0, 107, 166)"  # the theme's colours are there
    context.close()


def test_formulas_need_no_script(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/book/glossary.html")
    box = page.locator("math munderover").bounding_box()
    assert box["height"] > 20  # limits above and below the sign of the sum
    context.close()
