"""Captions that are not English: a scene and a language code in, a true caption in that language out.

Colours are said as "of colour X" where the language allows it, so that no ending depends on a gender.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from beam_jobs.world.scenes import SHAPES, Group, Scene


@dataclass(frozen=True)
class Language:
    """Words of one language; a shape has its singular with article and its plural."""

    numbers: tuple[str, str, str, str]  # two to five
    shapes: dict[str, tuple[str, str]]
    colours: dict[str, str]
    of_colour: str
    joiner: str
    templates: tuple[str, ...]


def _words(keys: str, values: str) -> dict[str, str]:
    return dict(zip(keys.split(), values.split(), strict=True))


def _shapes(*pairs: str) -> dict[str, tuple[str, str]]:
    return {shape: (pair.split("/")[0], pair.split("/")[1]) for shape, pair in zip(SHAPES, pairs, strict=True)}


_COLOURS = "red orange yellow green blue purple pink brown black white"

LANGUAGES: dict[str, Language] = {
    "fr": Language(
        numbers=("deux", "trois", "quatre", "cinq"),
        shapes=_shapes(
            "un cercle/cercles", "un carré/carrés", "un triangle/triangles", "une étoile/étoiles", "un cœur/cœurs",
            "une croix/croix", "un anneau/anneaux", "une lune/lunes", "un losange/losanges", "une flèche/flèches",
        ),
        colours=_words(_COLOURS, "rouge orange jaune verte bleue violette rose marron noire blanche"),
        of_colour="{} de couleur {}",
        joiner=" et ",
        templates=("{}", "Une image avec {}.", "On voit ici {}.", "{}, dessin de notre atelier"),
    ),
    "de": Language(
        numbers=("zwei", "drei", "vier", "fünf"),
        shapes=_shapes(
            "ein Kreis/Kreise", "ein Quadrat/Quadrate", "ein Dreieck/Dreiecke", "ein Stern/Sterne", "ein Herz/Herzen",
            "ein Kreuz/Kreuze", "ein Ring/Ringe", "ein Mond/Monde", "eine Raute/Rauten", "ein Pfeil/Pfeile",
        ),
        colours=_words(_COLOURS, "Rot Orange Gelb Grün Blau Lila Rosa Braun Schwarz Weiß"),
        of_colour="{} in {}",
        joiner=" und ",
        templates=("{}", "Auf dem Bild: {}.", "Zeichnung: {}", "{} aus unserer Werkstatt"),
    ),
    "es": Language(
        numbers=("dos", "tres", "cuatro", "cinco"),
        shapes=_shapes(
            "un círculo/círculos", "un cuadrado/cuadrados", "un triángulo/triángulos", "una estrella/estrellas",
            "un corazón/corazones", "una cruz/cruces", "un anillo/anillos", "una luna/lunas", "un rombo/rombos",
            "una flecha/flechas",
        ),
        colours=_words(_COLOURS, "rojo naranja amarillo verde azul morado rosa marrón negro blanco"),
        of_colour="{} de color {}",
        joiner=" y ",
        templates=("{}", "Una imagen con {}.", "Aquí se ve {}.", "{}, dibujo de nuestro taller"),
    ),
    "it": Language(
        numbers=("due", "tre", "quattro", "cinque"),
        shapes=_shapes(
            "un cerchio/cerchi", "un quadrato/quadrati", "un triangolo/triangoli", "una stella/stelle",
            "un cuore/cuori", "una croce/croci", "un anello/anelli", "una luna/lune", "un rombo/rombi",
            "una freccia/frecce",
        ),
        colours=_words(_COLOURS, "rosso arancione giallo verde blu viola rosa marrone nero bianco"),
        of_colour="{} di colore {}",
        joiner=" e ",
        templates=("{}", "Un'immagine con {}.", "Qui si vede {}.", "{}, disegno della nostra bottega"),
    ),
    "ja": Language(
        numbers=("2個", "3個", "4個", "5個"),
        shapes=_shapes(
            "円/円", "四角/四角", "三角/三角", "星/星", "ハート/ハート",
            "十字/十字", "輪/輪", "月/月", "ひし形/ひし形", "矢印/矢印",
        ),
        colours=_words(_COLOURS, "赤色 橙色 黄色 緑色 青色 紫色 桃色 茶色 黒色 白色"),
        of_colour="{1}の{0}",
        joiner="と",
        templates=("{}", "{}の絵", "この写真には{}があります。"),
    ),
}  # fmt: skip


def translated(scene: Scene, language: str, rng: random.Random) -> str:
    """A true caption of the scene in `language`, a key of LANGUAGES."""
    words = LANGUAGES[language]
    said = words.joiner.join(_group(group, language, words) for group in scene.groups)
    text = rng.choice(words.templates).format(said)
    return text[0].upper() + text[1:]


def _group(group: Group, language: str, words: Language) -> str:
    single, many = words.shapes[group.shape]
    if language == "ja":
        number = "1個" if group.count == 1 else words.numbers[group.count - 2]
        return words.of_colour.format(single, words.colours[group.colour]) + number
    thing = single if group.count == 1 else f"{words.numbers[group.count - 2]} {many}"
    return words.of_colour.format(thing, words.colours[group.colour])
