"""Sunny: a glossy, slightly soft emoji ball."""
# ruff: noqa: E501

from __future__ import annotations

import numpy as np

from faceshot.assets.source.ink import (
    Drawing,
    along,
    blur,
    curve,
    d,
    flip,
    gradient,
    line,
    mirror,
    path,
    ribbon,
    shape,
    sheet,
)

CX, CY, R = 512, 520, 372
EYE = [(346, 452), (362, 396), (404, 366), (446, 396), (462, 452)]
EYE_LOW = [(462, 452), (446, 506), (404, 532), (362, 506), (346, 452)]
BROW = [(338, 318), (366, 292), (402, 282), (438, 288), (462, 306)]
MOUTH = [(372, 622), (424, 664), (512, 686), (600, 664), (652, 622)]


def eye(tag: str) -> str:
    white = d(np.vstack([curve(EYE), curve(EYE_LOW)]))
    return "".join(
        [
            path(white, "#a85a08", opacity=0.3, filter="url(#b4)", transform="translate(0 4)"),
            f'<clipPath id="{tag}"><path d="{white}"/></clipPath>',
            path(white, "url(#white)"),
            f'<g clip-path="url(#{tag})">',
            '<ellipse cx="408" cy="454" rx="36" ry="46" fill="url(#iris)"/>',
            '<ellipse cx="408" cy="474" rx="25" ry="18" fill="url(#glow)"/>',
            '<ellipse cx="408" cy="452" rx="20" ry="27" fill="#1d0b03"/>',
            path("M330 360H480V410Q404 372 330 418Z", "#6b4a3a", opacity=0.35, filter="url(#b8)"),
            "</g>",
            path(ribbon([(344, 448), (362, 392), (404, 361), (446, 392), (464, 448)], [3, 9, 12, 9, 3]), "#7a3200"),
            path(
                ribbon([(352, 478), (372, 516), (404, 530), (436, 516), (456, 478)], [0, 3, 4, 3, 0]),
                "#c46a10",
                opacity=0.8,
            ),
        ]
    )


def shine(x: float) -> str:
    return (
        f'<ellipse cx="{x - 12}" cy="430" rx="11" ry="15" fill="#fff" transform="rotate(16 {x - 12} 430)"/>'
        f'<circle cx="{x + 13}" cy="476" r="6" fill="#fff" opacity="0.85"/>'
    )


def draw() -> Drawing:
    ball = f'<circle cx="{CX}" cy="{CY}" r="{R}"'
    defs = [
        gradient(
            "ball",
            (0, "#fff27a"),
            (0.3, "#ffdf3c"),
            (0.62, "#ffc21a"),
            (0.85, "#fb9a0c"),
            (1, "#e8700a"),
            cx=CX,
            cy=CY,
            r=R,
            fx=380,
            fy=320,
        ),
        gradient("under", (0, "#ff7a00", 0), (0.62, "#ff7a00", 0), (1, "#c83c00", 0.75), cx=470, cy=440, r=460),
        gradient("bounce", (0, "#fff2a0", 0.95), (1, "#ffd24a", 0), cx=640, cy=880, r=300),
        gradient("gloss", (0, "#ffffff", 0.95), (1, "#ffffff", 0), x1=0, y1=176, x2=0, y2=330),
        gradient("white", (0, "#d8d2e0"), (0.4, "#fbfaff"), (1, "#ffffff"), x1=0, y1=366, x2=0, y2=534),
        gradient("iris", (0, "#3d1704"), (0.45, "#7a3408"), (1, "#e08a2c"), x1=0, y1=408, x2=0, y2=500),
        gradient("glow", (0, "#ffd36b", 0.9), (1, "#ffb13a", 0), cx=408, cy=478, r=26),
        gradient("brow", (0, "#8a3c04"), (1, "#b65a0c"), x1=0, y1=280, x2=0, y2=325),
        gradient("cheek", (0, "#ff5a3c", 0.7), (1, "#ff5a3c", 0), cx=0, cy=0, r=70),
        blur("b2", 2),
        blur("b4", 5),
        blur("b8", 8),
        blur("b20", 22),
        f'<clipPath id="inball">{ball}/></clipPath>',
    ]
    brow = path(ribbon(BROW, [3, 18, 22, 17, 3]), "#a04800", opacity=0.5, filter="url(#b4)", transform="translate(0 8)")
    brow += path(ribbon(BROW, [3, 18, 22, 17, 3]), "url(#brow)")
    brow += path(ribbon([(x, y - 4) for x, y in BROW], [0, 4, 5, 3, 0]), "#e69a3e", opacity=0.6, filter="url(#b2)")
    dimple = path(ribbon([(364, 604), (358, 622), (368, 640)], [0, 9, 0]), "#a84300")
    svg = sheet(
        defs,
        f'{ball} fill="url(#ball)"/>',
        '<g clip-path="url(#inball)">',
        f'{ball} fill="url(#under)"/>',
        '<ellipse cx="620" cy="900" rx="230" ry="90" fill="url(#bounce)" filter="url(#b20)"/>',
        path(
            ribbon([(846, 380), (872, 520), (836, 690), (730, 824)], [0, 26, 30, 0]),
            "#fff3b0",
            opacity=0.8,
            filter="url(#b8)",
        ),
        path(
            shape(
                [
                    (276, 330),
                    (330, 232),
                    (430, 182),
                    (536, 176),
                    (600, 200),
                    (560, 232),
                    (440, 250),
                    (350, 310),
                    (296, 380),
                ]
            ),
            "url(#gloss)",
            filter="url(#b4)",
        ),
        '<ellipse cx="690" cy="246" rx="34" ry="16" fill="#fff" opacity="0.6" transform="rotate(32 690 246)" filter="url(#b4)"/>',
        f'<circle cx="{CX}" cy="{CY}" r="{R - 3}" fill="none" stroke="#fff6b8" stroke-width="5" opacity="0.45" filter="url(#b2)"/>',
        "</g>",
        '<g transform="translate(322 590) scale(1 .7)"><circle r="70" fill="url(#cheek)"/></g>',
        '<g transform="translate(702 590) scale(1 .7)"><circle r="70" fill="url(#cheek)"/></g>',
        brow,
        flip(brow),
        eye("el"),
        flip(eye("er")),
        shine(408),
        shine(616),
        path(ribbon([(x, y + 12) for x, y in MOUTH], [6, 20, 24, 20, 6]), "#fff0a0", opacity=0.75, filter="url(#b4)"),
        dimple,
        flip(dimple),
        f'<path d="{line(MOUTH)}" fill="none" stroke="#7a2c00" stroke-width="18" stroke-linecap="round"/>',
        path(ribbon([(x, y - 3) for x, y in MOUTH], [0, 4, 5, 4, 0]), "#4a1500", opacity=0.6),
    )
    angle = np.radians(np.linspace(176, 4, 17))
    jaw = np.stack([CX + (R - 4) * np.cos(angle), CY + (R - 4) * np.sin(angle)], 1)
    middle = along(MOUTH, 7)
    inner = along(MOUTH, 5, 0.03, 0.97)
    upper = middle + np.array([0, -9]) * np.array([0, 1, 1, 1, 1, 1, 0])[:, None]
    lower = middle + np.array([0, 9]) * np.array([0, 1, 1, 1, 1, 1, 0])[:, None]
    eye_left = [(346, 452), (372, 385), (436, 385), (462, 452), (436, 517), (372, 517)]
    landmarks = {
        "jaw": jaw,
        "brow_left": along(BROW, 5),
        "brow_right": along(mirror(BROW), 5),
        "nose": [
            (512, 440),
            (512, 480),
            (512, 520),
            (512, 556),
            (482, 576),
            (497, 580),
            (512, 582),
            (527, 580),
            (542, 576),
        ],
        "eye_left": eye_left,
        "eye_right": [mirror([eye_left[i]])[0] for i in (3, 2, 1, 0, 5, 4)],
        "lips": np.vstack([upper, lower[5:0:-1], inner, inner[[3, 2, 1]] + (0, 1)]),
        "pupils": [(408, 453), (616, 453)],
    }
    return Drawing("emoji", svg, {k: np.array(v, float) for k, v in landmarks.items()}, absent=("nose",))
