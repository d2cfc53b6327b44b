"""Ada: a painted portrait of a woman with auburn hair."""
# ruff: noqa: E501

from __future__ import annotations

import cv2
import numpy as np

from faceshot.assets.source import brush
from faceshot.assets.source.ink import (
    Drawing,
    along,
    blur,
    both,
    clip,
    curve,
    d,
    flip,
    gradient,
    inside_lock,
    mirror,
    path,
    ribbon,
    shape,
    sheet,
)

FACE = [(340, 370), (334, 420), (335, 480), (343, 545), (360, 612), (390, 672), (432, 718), (474, 742), (512, 747)]
EYE_U = [(384, 470), (398, 455), (420, 444), (444, 446), (462, 460), (474, 474)]
EYE_L = [(474, 474), (458, 481), (432, 486), (408, 483), (384, 470)]
BROW = [(366, 424), (392, 404), (422, 398), (452, 404), (478, 416)]
LINE = [(450, 648), (476, 651), (496, 650), (512, 653), (528, 650), (548, 651), (574, 648)]
UP = [(450, 648), (476, 636), (497, 628), (512, 633), (527, 628), (548, 636), (574, 648)]
LOW = [(574, 648), (552, 668), (530, 678), (512, 680), (494, 678), (472, 668), (450, 648)]

BACK = [
    (
        [(470, 150), (350, 210), (292, 340), (268, 480), (300, 620), (250, 760), (276, 900)],
        [30, 120, 120, 110, 100, 90, 30],
    ),
    (
        [(560, 150), (680, 210), (736, 340), (756, 480), (722, 620), (774, 760), (744, 900)],
        [30, 120, 120, 110, 100, 90, 30],
    ),
    ([(430, 250), (330, 400), (318, 560), (346, 700), (300, 830), (330, 930)], [30, 90, 90, 90, 80, 20]),
    ([(600, 250), (700, 400), (708, 560), (680, 700), (724, 830), (694, 930)], [30, 90, 90, 90, 80, 20]),
]
FRONT = [
    (
        [(470, 160), (380, 190), (318, 280), (304, 400), (316, 520), (288, 640), (312, 770), (286, 880)],
        [10, 80, 92, 74, 60, 64, 54, 0],
    ),
    (
        [(470, 158), (590, 176), (690, 270), (722, 400), (712, 520), (740, 640), (714, 770), (742, 880)],
        [10, 90, 104, 78, 62, 66, 54, 0],
    ),
    ([(468, 160), (420, 196), (372, 262), (344, 340), (330, 440)], [10, 70, 74, 44, 0]),
    ([(470, 158), (548, 190), (630, 250), (676, 330), (694, 440)], [10, 86, 92, 54, 0]),
    ([(470, 158), (520, 200), (590, 236), (640, 290), (672, 370)], [10, 62, 70, 44, 0]),
    ([(468, 160), (440, 200), (400, 240), (366, 290), (346, 360)], [10, 50, 54, 34, 0]),
    ([(466, 160), (350, 200), (284, 330), (270, 470), (282, 600), (252, 720), (268, 830)], [8, 40, 46, 40, 34, 36, 0]),
    ([(474, 158), (660, 200), (752, 330), (764, 470), (750, 600), (782, 720), (762, 830)], [8, 44, 50, 42, 36, 36, 0]),
]


FRONT += [
    ([(466, 166), (452, 222), (398, 286), (350, 372), (336, 470)], [8, 50, 54, 42, 0]),
    ([(474, 164), (502, 222), (586, 272), (652, 336), (684, 420), (690, 490)], [8, 58, 66, 50, 28, 0]),
    ([(300, 560), (276, 660), (306, 770), (268, 900)], [30, 64, 60, 0]),
    ([(722, 560), (750, 660), (720, 770), (756, 896)], [30, 64, 60, 0]),
]


def lock(points: list, widths: list, fill: str, seed: int, back: bool = False) -> str:
    rng = np.random.default_rng(seed)
    out = path(ribbon(points, widths), fill)
    for _ in range(16):
        a = rng.uniform(0.0, 0.5)
        out += path(
            inside_lock(
                points, widths, a, min(a + rng.uniform(0.3, 0.6), 1), rng.uniform(-0.95, 0.95), rng.uniform(2, 6)
            ),
            "#3a120c",
            opacity=0.35,
        )
    for _ in range(14 if not back else 9):
        a = rng.uniform(0.03, 0.6)
        out += path(
            inside_lock(
                points, widths, a, min(a + rng.uniform(0.2, 0.45), 1), rng.uniform(-0.9, 0.6), rng.uniform(1.5, 5)
            ),
            "#d9803f",
            opacity=0.45,
        )
    for _ in range(5 if not back else 0):
        a = rng.uniform(0.12, 0.4)
        out += path(
            inside_lock(points, widths, a, a + rng.uniform(0.08, 0.2), rng.uniform(-0.7, 0.4), rng.uniform(2, 4.5)),
            "#ffd199",
            opacity=0.55,
        )
    return out


def eye(tag: str) -> str:
    white = d(np.vstack([curve(EYE_U), curve(EYE_L)]))
    return "".join(
        [
            path(
                shape([(372, 462), (396, 432), (428, 424), (462, 436), (488, 472), (462, 498), (420, 504), (386, 490)]),
                "#8a4030",
                opacity=0.32,
                filter="url(#b10)",
            ),
            path(
                shape([(384, 446), (408, 428), (440, 424), (468, 440), (462, 452), (430, 436), (404, 444)]),
                "#fbd9bd",
                opacity=0.5,
                filter="url(#b5)",
            ),
            f'<clipPath id="{tag}"><path d="{white}"/></clipPath>',
            path(white, "url(#white)"),
            f'<g clip-path="url(#{tag})"><circle cx="430" cy="464" r="21.5" fill="#1d2c22"/><circle cx="430" cy="464" r="19.5" fill="url(#iris)"/>',
            *(
                f'<path d="M430 464L{430 + 19 * np.cos(a):.1f} {464 + 19 * np.sin(a):.1f}" stroke="#dff0b0" stroke-width="1" opacity="0.3"/>'
                for a in np.linspace(0, 6.28, 26)
            ),
            '<circle cx="430" cy="464" r="9" fill="#0a0e0a"/>',
            path("M376 430H482V458Q430 444 376 474Z", "#2a1008", opacity=0.5, filter="url(#b2)"),
            '<circle cx="472" cy="473" r="6" fill="#e59a86" opacity="0.8" filter="url(#b1)"/></g>',
            path(
                ribbon([(376, 470), (396, 453), (420, 441), (446, 443), (464, 457), (477, 474)], [1, 6, 7.5, 7, 5, 2]),
                "#24100c",
            ),
            path(ribbon([(392, 458), (382, 454), (371, 455)], [6, 4, 0]), "#24100c"),
            path(ribbon([(402, 451), (392, 442), (382, 439)], [5, 3, 0]), "#24100c"),
            path(
                ribbon([(476, 476), (458, 483), (432, 488), (408, 485), (386, 472)], [1, 2.5, 2.5, 3, 2]),
                "#6b3022",
                opacity=0.8,
            ),
            path(
                ribbon([(386, 450), (408, 433), (436, 429), (462, 442), (474, 456)], [0, 3, 4, 3.5, 0]),
                "#8a4434",
                opacity=0.75,
            ),
            path(ribbon([(464, 494), (434, 503), (402, 498)], [0, 4, 0]), "#a85c48", opacity=0.4, filter="url(#b2)"),
        ]
    )


def brow() -> str:
    out = path(ribbon(BROW, [2, 10, 13, 13, 9]), "#4a1d10", opacity=0.85, filter="url(#b1)")
    for i, (x, y) in enumerate(along(BROW, 34)):
        k = i / 33
        out += f'<path d="M{x:.0f} {y + 5:.0f}q{-3 - 8 * (1 - k):.1f} {-5 - 4 * k:.1f} {-10 - 4 * (1 - k):.1f} {-8 + 6 * (1 - k) - 3 * k:.1f}" stroke="#2e1008" stroke-width="1.8" fill="none" opacity="0.7" stroke-linecap="round"/>'
    return out


def draw() -> Drawing:
    face = shape([*both(FACE), (688, 300), (620, 226), (512, 206), (404, 226), (336, 300)])
    neck = shape(
        [
            (436, 660),
            (444, 760),
            (430, 830),
            (340, 880),
            (512, 1030),
            (690, 880),
            (594, 830),
            (582, 760),
            (590, 660),
            (512, 620),
        ]
    )
    dress = [(512, 990), (470, 950), (420, 890), (372, 862), (286, 880), (212, 916), (168, 980), (150, 1040)]
    dress_shape = d(np.vstack([curve(dress[::-1]), curve(mirror(dress[::-1])), [[874, 1040], [150, 1040]]]))
    defs = [
        gradient(
            "skin", (0, "#fbe0c6"), (0.45, "#f2c5a3"), (0.8, "#dd9f7f"), (1, "#bd7558"), x1=350, y1=300, x2=700, y2=640
        ),
        gradient("neck", (0, "#c98466"), (0.4, "#dba281"), (1, "#f2cbaa"), x1=0, y1=720, x2=0, y2=920),
        gradient(
            "hair", (0, "#9a4a24"), (0.3, "#7a3018"), (0.65, "#8f3f1c"), (1, "#6a2612"), x1=0, y1=150, x2=0, y2=880
        ),
        gradient("back", (0, "#6b2a14"), (1, "#4a190d"), x1=0, y1=150, x2=0, y2=900),
        gradient("white", (0, "#b59c92"), (0.4, "#efe6de"), (1, "#f7f0e8"), x1=0, y1=444, x2=0, y2=486),
        gradient("iris", (0, "#2c4a2e"), (0.5, "#5a8a4a"), (1, "#a8c66a"), x1=0, y1=444, x2=0, y2=486),
        gradient("uplip", (0, "#b5584e"), (1, "#8e3a38"), x1=0, y1=628, x2=0, y2=654),
        gradient("lowlip", (0, "#b04c48"), (0.5, "#cf6f64"), (1, "#b05a50"), x1=0, y1=650, x2=0, y2=680),
        gradient("dress", (0, "#2f8a74"), (0.5, "#14574c"), (1, "#0a2f2c"), x1=260, y1=880, x2=680, y2=1024),
        gradient("gold", (0, "#fff0b0"), (0.5, "#e0a83a"), (1, "#8a5a14"), cx=506, cy=930, r=24),
        blur("b1", 1),
        blur("b2", 2.2),
        blur("b5", 5),
        blur("b10", 9),
        blur("b20", 18),
        blur("b30", 30),
        clip("face", face),
    ]
    nape = d(
        curve(
            both(
                [
                    (512, 122),
                    (420, 134),
                    (330, 200),
                    (272, 320),
                    (240, 480),
                    (258, 620),
                    (222, 760),
                    (246, 900),
                    (400, 930),
                    (512, 930),
                ]
            )
        )
    )
    svg = sheet(
        defs,
        path(nape, "url(#back)"),
        "".join(lock(p, w, "url(#back)", i, True) for i, (p, w) in enumerate(BACK)),
        path(neck, "url(#neck)"),
        path(
            shape([(430, 690), (446, 790), (520, 830), (586, 790), (600, 690), (512, 740)]),
            "#8a3c2c",
            opacity=0.55,
            filter="url(#b10)",
        ),
        path(
            shape([(560, 760), (600, 820), (680, 870), (560, 900), (540, 830)]),
            "#a85a44",
            opacity=0.45,
            filter="url(#b10)",
        ),
        path(ribbon([(400, 880), (452, 886), (492, 906)], [0, 8, 0]), "#fff0da", opacity=0.6, filter="url(#b5)"),
        path(ribbon([(452, 780), (470, 840), (500, 890)], [0, 9, 0]), "#b06a50", opacity=0.5, filter="url(#b5)"),
        path(ribbon([(572, 780), (554, 840), (524, 890)], [0, 9, 0]), "#b06a50", opacity=0.5, filter="url(#b5)"),
        path(dress_shape, "url(#dress)"),
        f'<clipPath id="indress"><path d="{dress_shape}"/></clipPath><g clip-path="url(#indress)">',
        path(ribbon([(360, 1040), (330, 960), (300, 890)], [30, 18, 0]), "#06201e", opacity=0.7, filter="url(#b10)"),
        path(ribbon([(650, 1040), (690, 960), (720, 890)], [34, 20, 0]), "#06201e", opacity=0.7, filter="url(#b10)"),
        path(
            ribbon([(170, 1010), (222, 924), (296, 888), (370, 872)], [4, 20, 14, 0]),
            "#7fe0c0",
            opacity=0.6,
            filter="url(#b5)",
        ),
        path(ribbon([(374, 866), (424, 896), (472, 956), (512, 994)], [8, 10, 10, 8]), "#d8a544"),
        path(ribbon([(650, 866), (600, 896), (552, 956), (512, 994)], [8, 10, 10, 8]), "#b8862e"),
        "</g>",
        path(ribbon([(400, 862), (440, 910), (512, 934), (584, 910), (624, 862)], [2, 3, 3, 3, 2]), "#c8963c"),
        '<path d="M512 930L528 950L512 978L496 950Z" fill="#2fae94" stroke="#8a5a14" stroke-width="3"/><path d="M512 934L520 950L512 956L502 950Z" fill="#c6fff0" opacity="0.8"/>',
        path(face, "url(#skin)"),
        '<g clip-path="url(#face)">',
        path(
            shape(
                [
                    (640, 300),
                    (676, 420),
                    (664, 540),
                    (630, 640),
                    (560, 720),
                    (512, 752),
                    (600, 770),
                    (720, 640),
                    (730, 400),
                    (700, 260),
                ]
            ),
            "#a0543c",
            opacity=0.55,
            filter="url(#b20)",
        ),
        path(
            shape([(400, 690), (460, 730), (512, 736), (564, 730), (624, 690), (600, 770), (512, 790), (424, 770)]),
            "#a85a42",
            opacity=0.5,
            filter="url(#b10)",
        ),
        path(
            shape([(330, 300), (512, 230), (694, 300), (694, 190), (330, 190)]),
            "#8a4028",
            opacity=0.5,
            filter="url(#b20)",
        ),
        path(
            shape([(334, 380), (344, 560), (372, 640), (330, 640), (310, 400)]),
            "#b06a4c",
            opacity=0.4,
            filter="url(#b10)",
        ),
        '<ellipse cx="450" cy="320" rx="90" ry="44" fill="#fff3e0" opacity="0.65" filter="url(#b20)"/>',
        '<ellipse cx="398" cy="548" rx="40" ry="26" fill="#ffe6d0" opacity="0.55" filter="url(#b10)"/>',
        '<ellipse cx="392" cy="580" rx="46" ry="28" fill="#e2664e" opacity="0.33" filter="url(#b20)"/><ellipse cx="628" cy="580" rx="46" ry="28" fill="#c94a3a" opacity="0.36" filter="url(#b20)"/>',
        path(
            shape([(528, 430), (540, 500), (552, 560), (560, 590), (536, 604), (528, 560), (520, 500)]),
            "#a05a40",
            opacity=0.55,
            filter="url(#b10)",
        ),
        path(shape([(486, 440), (494, 470), (488, 500), (482, 470)]), "#a05a40", opacity=0.35, filter="url(#b5)"),
        path(ribbon([(508, 420), (507, 490), (508, 560)], [4, 9, 16]), "#fff2de", opacity=0.75, filter="url(#b5)"),
        '<ellipse cx="507" cy="567" rx="11" ry="9" fill="#fff8ec" opacity="0.8" filter="url(#b5)"/>',
        path(
            shape([(474, 580), (490, 594), (512, 602), (536, 594), (552, 580), (544, 604), (512, 614), (482, 604)]),
            "#8a4030",
            opacity=0.5,
            filter="url(#b5)",
        ),
        path(
            ribbon([(474, 572), (472, 588), (484, 596), (496, 590)], [0, 5, 5, 0]),
            "#7a3426",
            opacity=0.7,
            filter="url(#b1)",
        ),
        path(
            ribbon([(552, 572), (554, 588), (542, 596), (530, 590)], [0, 6, 6, 0]),
            "#6b2a1e",
            opacity=0.8,
            filter="url(#b1)",
        ),
        path(ribbon([(484, 594), (492, 590), (500, 594)], [2, 6, 1]), "#4a1810"),
        path(ribbon([(526, 594), (534, 590), (542, 594)], [1, 6, 2]), "#4a1810"),
        path(ribbon([(506, 606), (508, 616), (506, 626)], [2, 7, 4]), "#c07a60", opacity=0.5, filter="url(#b2)"),
        path(ribbon([(466, 600), (448, 622), (440, 640)], [0, 8, 0]), "#b06a50", opacity=0.4, filter="url(#b5)"),
        path(ribbon([(558, 600), (576, 622), (584, 640)], [0, 9, 0]), "#95503c", opacity=0.45, filter="url(#b5)"),
        path(
            shape([(474, 686), (512, 694), (550, 686), (540, 702), (512, 708), (484, 702)]),
            "#9a5038",
            opacity=0.55,
            filter="url(#b5)",
        ),
        '<ellipse cx="504" cy="722" rx="28" ry="12" fill="#ffe4cc" opacity="0.5" filter="url(#b10)"/>',
        "</g>",
        path(d(np.vstack([curve(UP), curve(LINE)[::-1]])), "url(#uplip)", filter="url(#b1)"),
        path(d(np.vstack([curve(LINE), curve(LOW)])), "url(#lowlip)", filter="url(#b1)"),
        path(ribbon([(484, 667), (508, 671), (530, 667)], [0, 6, 0]), "#ffd0c0", opacity=0.75, filter="url(#b2)"),
        path(
            ribbon([(480, 634), (497, 625), (512, 630), (527, 625)], [0, 3, 3, 0]),
            "#ffe2d0",
            opacity=0.6,
            filter="url(#b2)",
        ),
        path(ribbon(LINE, [2, 4, 3.5, 4, 3.5, 4, 2]), "#4a1414"),
        eye("el"),
        flip(eye("er")),
        brow(),
        flip(brow()),
        '<circle cx="424" cy="457" r="4.6" fill="#fff"/><circle cx="588" cy="457" r="4.6" fill="#fff"/><circle cx="437" cy="472" r="2.2" fill="#fff" opacity="0.6"/><circle cx="601" cy="472" r="2.2" fill="#fff" opacity="0.6"/>',
        "".join(
            f'<g opacity="0.4" filter="url(#b5)">{path(ribbon([(x + 6, y + 12) for x, y in p], w), "#6b2a1a")}</g>'
            for p, w in FRONT[2:6]
        ),
        "".join(lock(p, w, "url(#hair)", 40 + i) for i, (p, w) in enumerate(FRONT)),
        path(
            ribbon([(500, 132), (620, 150), (720, 240), (768, 380), (778, 500)], [0, 8, 9, 8, 0]),
            "#ffb37a",
            opacity=0.5,
            filter="url(#b5)",
        ),
    )
    upper_inner = np.array([(460, 648), (488, 650), (512, 653), (536, 650), (564, 648)], float)
    eye_left = [(384, 470), (409, 448), (446, 447), (474, 474), (448, 484), (408, 483)]
    landmarks = {
        "jaw": along(both(FACE[1:]), 17),
        "brow_left": along(BROW, 5),
        "brow_right": along(mirror(BROW), 5),
        "nose": [
            (510, 462),
            (509, 498),
            (508, 532),
            (508, 566),
            (480, 592),
            (495, 597),
            (512, 602),
            (530, 597),
            (546, 592),
        ],
        "eye_left": eye_left,
        "eye_right": [mirror([eye_left[i]])[0] for i in (3, 2, 1, 0, 5, 4)],
        "lips": np.vstack([UP, LOW[1:6], upper_inner, upper_inner[[3, 2, 1]] + (0, 1)]),
        "pupils": [(430, 464), (594, 464)],
    }

    def finish(rgba: np.ndarray, _: np.ndarray) -> np.ndarray:
        keep = np.zeros((1024, 1024), np.float32)
        for x in (430, 594):
            cv2.ellipse(keep, (x, 462), (62, 36), 0, 0, 360, 1.0, -1)
        cv2.ellipse(keep, (512, 650), (76, 40), 0, 0, 360, 1.0, -1)
        cv2.ellipse(keep, (512, 588), (52, 26), 0, 0, 360, 0.7, -1)
        return brush.paint(rgba, cv2.GaussianBlur(keep, (0, 0), 9))

    return Drawing("human", svg, {k: np.array(v, float) for k, v in landmarks.items()}, finish=finish, step=3)
