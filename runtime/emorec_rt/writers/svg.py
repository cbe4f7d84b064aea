"""A drawing as SVG 1.1 text."""

from __future__ import annotations

from functools import singledispatch
from xml.sax.saxutils import escape

from emorec_rt.writers.palette import Colour
from emorec_rt.writers.shapes import Drawing, Line, Polygon, Rectangle, Shape, Text

FONTS = "Helvetica, Arial, 'DejaVu Sans', sans-serif"


def to_svg(drawing: Drawing) -> str:
    """The whole document; it scales to any size."""
    width, height = _number(drawing.width), _number(drawing.height)
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="{FONTS}">\n'
        f"<title>{_escaped(drawing.title)}</title>\n"
    )
    return head + "".join(f"{_element(shape)}\n" for shape in drawing.shapes) + "</svg>\n"


@singledispatch
def _element(shape: Shape) -> str:
    raise TypeError(f"no SVG for {shape!r}")


@_element.register
def _(shape: Rectangle) -> str:
    opacity = "" if shape.opacity == 1 else f' fill-opacity="{shape.opacity:g}"'
    # Neighbours share an edge: without antialiasing no seam shows between them.
    return (
        f'<rect x="{_number(shape.left)}" y="{_number(shape.top)}" width="{_number(shape.width)}" '
        f'height="{_number(shape.height)}" fill="{_hex(shape.fill)}"{opacity} shape-rendering="crispEdges"/>'
    )


@_element.register
def _(shape: Polygon) -> str:
    points = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points.tolist())
    return f'<polygon points="{points}" fill="{_hex(shape.fill)}"/>'


@_element.register
def _(shape: Line) -> str:
    (x1, y1), (x2, y2) = shape.start, shape.end
    return (
        f'<line x1="{_number(x1)}" y1="{_number(y1)}" x2="{_number(x2)}" y2="{_number(y2)}" '
        f'stroke="{_hex(shape.colour)}" stroke-width="{_number(shape.width)}"/>'
    )


@_element.register
def _(shape: Text) -> str:
    weight = ' font-weight="bold"' if shape.bold else ""
    anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
    return (
        f'<text x="{_number(shape.left)}" y="{_number(shape.baseline)}" font-size="{_number(shape.size)}" '
        f'fill="{_hex(shape.colour)}"{weight}{anchor}>{_escaped(shape.text)}</text>'
    )


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _escaped(text: str) -> str:
    # XML 1.0 has no place for control characters.
    return escape("".join(letter if letter >= " " else " " for letter in text))
