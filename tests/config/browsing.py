"""What a person does in a browser: presses what leads to another page, waits for it, reads it."""


def follow(locator):
    """Press what leads to another page, and wait until that page is there."""
    with locator.page.expect_navigation():
        locator.first.click()


def press(page, role, name):
    """Press the button or link of exactly this name, and wait for the page that it leads to."""
    follow(page.get_by_role(role, name=name, exact=True))


def submit(page):
    """Press the first button of the page's form, and wait for the page that it leads to."""
    follow(page.locator("#content input[type=submit]"))


def says(page, words, where="#container"):
    """Wait until a page says these words."""
    page.locator(where, has_text=words).first.wait_for()


def text(page):
    """All that a page says now."""
    return page.inner_text("#container")
