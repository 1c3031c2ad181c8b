"""A page, or a picture, that stands alone: the frame of what `sentei check` writes."""

from .style import CSS
from .svg import escape, tag

__all__ = ["FONT", "page", "standalone"]

# A page has it on its body; a picture has no body.
FONT = (
    "svg{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif}"
)


def page(title: str, intro: str, *body: str, style: str = "") -> str:
    """Write an HTML page that needs nothing else; `body` is markup already."""
    lead = tag("p", escape(intro), class_="intro")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{CSS}{style}</style></head>\n"
        f"<body>{tag('main', tag('h1', escape(title)), lead, *body)}</body></html>\n"
    )


def standalone(svg: str) -> str:
    """Write a chart as an SVG file with its style inside; it follows light and dark."""
    head, _, rest = svg.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{CSS}{FONT}</style>{rest}\n'
