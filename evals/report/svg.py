"""Makes a drawing fit for a page: nothing in it but shapes and text.  Pure.

What comes out of a drawing library is not trusted to have escaped everybody's names: elements and
attributes that are not on the list are dropped, whatever they are.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

ELEMENTS = {"svg", "g", "path", "line", "rect", "circle", "text", "tspan", "defs", "clipPath"}
ATTRIBUTES = {
    "aria-hidden", "aria-label", "clip-path", "cx", "cy", "d", "display", "dx", "dy", "fill",
    "fill-opacity", "font-family", "font-size", "font-style", "font-weight", "height", "id",
    "opacity", "pointer-events", "r", "rx", "ry", "stroke", "stroke-dasharray", "stroke-linecap",
    "stroke-linejoin", "stroke-miterlimit", "stroke-opacity", "stroke-width", "text-anchor",
    "transform", "viewBox", "width", "x", "x1", "x2", "y", "y1", "y2",
}  # fmt: skip
REFERENCE = re.compile(r"url\(#(\w+)\)")
OUTSIDE = re.compile(r"url\s*\(", re.IGNORECASE)


class BadDrawing(ValueError):
    """What was drawn is not SVG."""


def embeddable(svg: str, *, prefix: str, label: str, kind: str) -> str:
    """The drawing as an element of an HTML page.

    ``prefix`` keeps its ids apart from other drawings', ``label`` says what it shows, ``kind`` is
    its class.  Marks that say something get the class ``mark`` and a title.
    """
    try:
        root = ElementTree.fromstring(svg)  # noqa: S314 - drawn by our own process, no entities
    except ElementTree.ParseError as error:
        raise BadDrawing(f"a drawing is not SVG: {error}") from error
    clean = _clean(root, prefix)
    if clean is None or clean.tag != "svg":
        raise BadDrawing(f"a drawing is no SVG but {root.tag!r}")
    clean.set("class", kind)
    clean.set("role", "group")
    clean.set("aria-label", label)
    return ElementTree.tostring(clean, encoding="unicode")


def _clean(element: ElementTree.Element, prefix: str) -> ElementTree.Element | None:
    tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    if tag not in ELEMENTS:
        return None
    clean = ElementTree.Element(tag)
    clean.text, clean.tail = element.text, element.tail
    for name, value in element.attrib.items():
        if name in ATTRIBUTES and (kept := _attribute(name, value, prefix)) is not None:
            clean.set(name, kept)
    if "aria-label" in clean.attrib and element.get("role") == "graphics-symbol":
        _say(clean)
    for child in element:
        if (kept_child := _clean(child, prefix)) is not None:
            clean.append(kept_child)
    return clean


def _say(mark: ElementTree.Element) -> None:
    mark.set("class", "mark")
    mark.set("role", "img")
    title = ElementTree.SubElement(mark, "title")
    title.text = mark.get("aria-label")


def _attribute(name: str, value: str, prefix: str) -> str | None:
    if name == "id":
        return f"{prefix}{value}"
    if name == "clip-path":
        found = REFERENCE.fullmatch(value)
        return f"url(#{prefix}{found[1]})" if found else None
    return None if name != "aria-label" and OUTSIDE.search(value) else value
