"""How the eyes of different kinds of characters close."""

from __future__ import annotations

from dataclasses import dataclass

from faceshot.types import CharacterKind, Float32

__all__ = ["STYLES", "EyeStyle", "style_of"]


@dataclass(frozen=True, slots=True)
class EyeStyle:
    """How an eye closes. Lengths in eye heights.

    Attributes:
        share: part of the way that the upper lid goes; the lower lid goes the rest.
        pad_up, pad_down: how far the opening reaches beyond the landmarks.
        strip: lashes above the lid that move with it unchanged.
        squash: the eye is a dot or a drawing: it is squeezed to a bowed line instead of being covered.
        line: thickness of a dark line drawn where closed lids meet.
        shadow: how much the lid darkens the eyeball beneath it, 0..1.
        glows: the eye is a light on a dark face; what is drawn of it is bright.
        over, under, beside: how far around the opening bare skin replaces the picture when the eye is shut.
        square: exponent of that area's outline, 2 an ellipse, more a rectangle.
        lash_tips: long drawn lashes around the eye go with the lid.
        line_strength: opacity of that line.
        rim_fades: how much of the lower lid's dark rim is lost when the eye is shut, 0..1.
    """

    share: float = 0.88
    pad_up: float = 0.03
    pad_down: float = 0.18
    strip: float = 0.2
    squash: bool = False
    line: float = 0.0
    over: float = 0.45
    under: float = 0.22
    beside: float = 0.30
    square: float = 2.5
    lash_tips: bool = False
    line_strength: float = 1.0
    rim_fades: float = 0.0
    glows: bool = False
    shadow: float = 0.28


STYLES: dict[CharacterKind, EyeStyle] = {
    "human": EyeStyle(
        over=0.65,
        under=0.40,
        beside=0.6,
        square=3.0,
        rim_fades=0.8,
        line=0.05,
        line_strength=0.5,
        lash_tips=True,
    ),
    "anime": EyeStyle(
        strip=0.18, pad_down=0.10, line=0.05, under=0.12, shadow=0.10, square=6.0, beside=0.35, lash_tips=True
    ),
    "animal": EyeStyle(
        square=4.0,
        beside=0.35,
        share=0.78,
        pad_up=0.10,
        pad_down=0.10,
        strip=0.05,
        line=0.07,
        line_strength=0.85,
        lash_tips=True,
    ),
    "emoji": EyeStyle(pad_up=0.0, pad_down=0.08, strip=0.10, line=0.12),
    "toy": EyeStyle(pad_up=0.08, pad_down=0.08, strip=0.0, line=0.10),
}


def style_of(
    kind: CharacterKind, height: float, width: float, inside: Float32, skin: float, *, lidded: bool = False
) -> EyeStyle:
    """The style for one eye.

    Args:
        height, width: of the opening at rest, pixels.
        inside: brightness of samples of the opening, 0..255.
        skin: brightness of the skin below it.
        lidded: never squeezed to a line, as the other eye is not.
    """
    if kind in ("human", "anime"):
        if height < 0.25 * width:  # narrow or half-closed at rest: padding would take its lashes away
            return EyeStyle(
                pad_up=0.02,
                pad_down=0.06,
                strip=0.12,
                over=0.8,
                under=0.4,
                beside=0.5,
                rim_fades=0.8,
                line=0.06,
                line_strength=0.5,
            )
        return STYLES[kind]
    if skin < 80 and float(inside.mean()) > 1.4 * skin:
        return EyeStyle(
            share=0.6, pad_up=0.15, pad_down=0.15, strip=0.0, under=0.45, beside=0.09, squash=True, glows=True
        )
    # Plain dots (nearly all of the opening is much darker than the skin) are squeezed, eyes with a white get lids.
    if kind != "animal" and not lidded and float((inside < 0.6 * skin).mean()) > 0.8 and height < 2.2 * width:
        return EyeStyle(share=0.5, pad_up=0.12, pad_down=0.12, strip=0.0, squash=True)
    return STYLES[kind]
