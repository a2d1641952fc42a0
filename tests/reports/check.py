"""Opens the page of a diff in headless Chromium, without a network, and uses it; holds JUnit's XML against its schema.

    python check.py RULECTL FOLDER

RULECTL is the program, and FOLDER takes what is made: reports of pairs of tests/diff, and screenshots.
Fails on any error of the console, any request, and whatever sorting, opening and searching leave undone.
"""

import pathlib
import shutil
import subprocess
import sys

import xmlschema
from playwright.sync_api import sync_playwright

HERE = pathlib.Path(__file__).resolve().parent
PAIRS = HERE.parent / "diff"
RULECTL, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])


def reports(pair):
    """The page and the XML of a pair, with everybody named."""
    place = FOLDER / pair
    for side in ("base", "head"):
        shutil.copytree(PAIRS / "policy", place / side, dirs_exist_ok=True)
        if (PAIRS / pair / side).is_dir():
            shutil.copytree(PAIRS / pair / side, place / side, dirs_exist_ok=True)
    page, xml = place / "page.html", place / "junit.xml"
    words = [RULECTL, "diff", f"{place}/base", f"{place}/head", "--logs", f"{PAIRS}/logs.ndjson", "--actors"]
    words += ["--report", f"html={page}", "--report", f"junit={xml}"]
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return page.resolve(), xml


def use(browser, page_file, scheme, width):
    """Opens the page as somebody would, and looks at what it does."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())

    sorts(page)
    opens(page)
    searches(page)
    if width < 500:
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"the page is {wide} wide, where {width} are shown"
    page.screenshot(path=FOLDER / f"{page_file.parent.name}-{scheme}-{width}.png", full_page=True)

    assert said == [], f"the console says {said}"
    assert asked == [page_file.as_uri()], f"requested: {asked}"
    # What is not ours could not load or run anything either.
    refused = page.evaluate("""async () => {
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        const loads = await fetch("https://example.com/").then(() => true, () => false);
        return [window.ran === true, loads];
    }""")
    assert refused == [False, False], refused
    context.close()


def column(table, at):
    """The texts of a column."""
    return [cell.inner_text().strip() for cell in table.locator(f"tbody > tr > td:nth-child({at})").all()]


def sorts(page):
    """By a click, and from the keyboard."""
    table = page.locator("table").first
    before = column(table, 2)
    heading = table.locator("th").nth(1)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert column(table, 2) == sorted(before, key=int), column(table, 2)
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert column(table, 2) == sorted(before, key=int, reverse=True), column(table, 2)


def opens(page):
    """One entry from the keyboard, and all of them."""
    entry = page.locator("section", has_text="that differ").locator("details").first
    inside = entry.locator(".inside")
    assert not inside.is_visible()
    entry.locator("summary").focus()
    page.keyboard.press("Enter")
    assert inside.is_visible() and "rules/" in inside.inner_text()
    page.locator("#every").click()
    assert all(inside.is_visible() for inside in page.locator(".inside").all())
    page.locator("#every").click()
    assert not any(inside.is_visible() for inside in page.locator(".inside").all())


def searches(page):
    """What does not hold the words is hidden, and comes back."""
    entries = page.locator("[data-row]")
    shown = lambda: [entry.inner_text().lower() for entry in entries.all() if entry.is_visible()]
    every = len(shown())
    page.locator("#search").fill("failed_login_burst Dave")
    found = shown()
    assert 0 < len(found) < every and all("dave" in text for text in found), found
    assert page.locator("#found").inner_text() == f"{len(found)} of {every} entries"
    page.locator("#search").fill("nobody has this name")
    assert shown() == []
    page.locator("#search").fill("")
    assert len(shown()) == every


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    pages, schema = [], xmlschema.XMLSchema(HERE / "junit-10.xsd")
    for pair in sorted(path.name for path in PAIRS.iterdir() if path.is_dir() and path.name != "policy"):
        page, xml = reports(pair)
        schema.validate(xml)
        pages.append(page)
    with sync_playwright() as playwright:
        # Sandboxes need rights that containers lack; the page is ours, and there is no network.
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = next(page for page in pages if page.parent.name == "two_changes")
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
            use(browser, page, scheme, width)
        browser.close()
    print(f"reports: {len(pages)} documents hold against the schema of JUnit, and the page does what it should")


main()
