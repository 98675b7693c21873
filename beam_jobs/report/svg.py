"""SVG elements as escaped markup: every attribute and text is escaped by Markup's own methods."""

from __future__ import annotations

from markupsafe import Markup

Attribute = str | int | float | None


def _shown(value: str | int | float) -> str:
    """Numbers with two decimals at most, so that a page does not depend on the last bit of a division."""
    if isinstance(value, float):
        text = f"{value:.2f}".rstrip("0").rstrip(".")
        return "0" if text in ("-0", "") else text
    return str(value)


def element(name: str, *children: Markup | str, **attributes: Attribute) -> Markup:
    """`<name a="...">children</name>`; `_` in attribute names stands for `-`, a trailing one is dropped.

    Attributes that are None are left out.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _shown(value))
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(children)
    return Markup("<{}{}>{}</{}>").format(name, written, inner, name)


def group(*children: Markup | str, **attributes: Attribute) -> Markup:
    return element("g", *children, **attributes)


def rect(x: float, y: float, width: float, height: float, **attributes: Attribute) -> Markup:
    return element("rect", x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: Attribute) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def text(content: str, x: float, y: float, **attributes: Attribute) -> Markup:
    return element("text", content, x=x, y=y, **attributes)


def drawing(width: int, height: int, *children: Markup | str, label: str, class_: str) -> Markup:
    """A whole picture with a text for those who do not see it; it scales with its box."""
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=label,
        class_=class_,
        preserveAspectRatio="xMidYMid meet",
    )
