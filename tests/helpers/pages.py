"""Checks of pages: they load nothing from elsewhere, and run no code that a name contains."""

from html.parser import HTMLParser

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & $x_1$ \"quoted\" 'single'"


class Loads(HTMLParser):
    """Everything in a page that a browser would load or run."""

    def __init__(self, page):
        super().__init__()
        self.addresses, self.tags, self.handlers = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "action", "data", "srcset")]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
