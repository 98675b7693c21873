"""The HTML of the embedded web's pages: a `Page` in, a document out."""

from __future__ import annotations

import random
from html import escape

from beam_jobs.world.scenes import seed_of
from beam_jobs.world.web import Page, Reference

TITLES = {
    "shapes.test": "Collection {} of the Shape Museum",
    "gallery.test": "Prints, page {} - Gallery of Forms",
    "blog.test": "Notes from the drawing board, no. {}",
    "atelier.test": "Atelier des formes : travaux, page {}",
    "photos.test": "Album {}",
    "quiet.test": "Sketches {} - please do not train on these",
}
SENTENCES = (
    "We hung these last week and moved them twice since.",
    "The paper was cut by hand, and it shows.",
    "Most of them come from the same afternoon.",
    "Visitors ask about the colours more than about anything else.",
    "Nothing here is for sale, except where it says so.",
    "The older series is in the archive.",
    "Some of these were scanned, others were drawn on a screen.",
    "Write to us when a link is broken.",
)
HEADINGS = ("New this month", "From the archive", "Studies", "Variations", "On the wall", "Small formats")


def render(page: Page) -> str:
    """The page's document."""
    rng = random.Random(seed_of("page", page.host, page.number))
    french = page.host == "atelier.test"
    title = escape(TITLES[page.host].format(page.number))
    head = ['<meta charset="utf-8">', f"<title>{title}</title>"]
    if page.opt_out:
        head.append(f'<meta name="robots" content="{page.opt_out}">')
    if page.host == "blog.test":
        head.append('<base href="/static/">')
    if page.host == "shapes.test":
        head.append('<link rel="license" href="https://creativecommons.org/licenses/by/4.0/">')
    body = [f"<header><h1>{title}</h1><nav><a href='/'>Home</a> <a href='/about'>About</a></nav></header>", "<main>"]
    for index, reference in enumerate(page.references):
        if index % 4 == 0:
            body += [f"<h2>{rng.choice(HEADINGS)}</h2>", f"<p>{rng.choice(SENTENCES)} {rng.choice(SENTENCES)}</p>"]
        body.append(_framed(_image(reference, rng), rng))
    body += ["</main>", f"<footer><p>{'Mentions légales' if french else 'Imprint'}</p></footer>"]
    language = "fr" if french else "en"
    opening = ["<!doctype html>", f'<html lang="{language}">', "<head>", *head, "</head>", "<body>"]
    return "\n".join([*opening, *body, "</body>", "</html>", ""])


def _image(reference: Reference, rng: random.Random) -> str:
    attributes = []
    if reference.src is not None:
        attributes.append(f'src="{escape(reference.src)}"')
    if reference.row.alt.label != "missing":
        attributes.append(f'alt="{escape(reference.row.alt.text)}"')
    if rng.random() < 0.3:
        attributes.append('loading="lazy"')
    return f"<img {' '.join(attributes)}>"


def _framed(image: str, rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.4:
        return f"<figure>{image}</figure>"
    if kind < 0.7:
        return f"<p>{image} {rng.choice(SENTENCES)}</p>"
    return f'<div class="item"><a href="/about">{image}</a></div>'
