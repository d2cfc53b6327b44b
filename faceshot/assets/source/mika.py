"""Mika: an anime girl with lilac hair and teal eyes, in a dark hoodie. The default character."""
# ruff: noqa: E501

from __future__ import annotations

import numpy as np

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

FACE = [(304, 330), (303, 400), (307, 462), (317, 530), (338, 592), (380, 645), (440, 686), (488, 706), (512, 710)]
EYE_UPPER = [(346, 521), (357, 490), (381, 464), (412, 454), (443, 464), (464, 489), (473, 524)]
EYE_LOWER = [(473, 524), (457, 546), (428, 557), (396, 556), (364, 543), (346, 521)]
LASH = [(330, 520), (343, 500), (366, 470), (410, 446), (446, 456), (467, 480), (476, 512)]
BROW = [(338, 404), (366, 388), (400, 381), (434, 384), (462, 395)]
MOUTH = [(474, 634), (492, 642), (512, 644), (532, 642), (550, 634)]

INK = "#3a2650"

# Centre line and widths of every hair lock, back to front; the roots meet at the crown.
FRINGE = [
    ([(500, 118), (392, 168), (322, 258), (296, 360), (288, 470), (290, 590), (306, 680)], [10, 66, 64, 50, 46, 40, 0]),
    ([(524, 118), (632, 168), (702, 258), (728, 360), (736, 470), (734, 590), (718, 690)], [10, 66, 64, 50, 46, 40, 0]),
    ([(500, 116), (420, 166), (356, 236), (326, 310), (318, 376), (326, 430)], [10, 60, 64, 52, 30, 0]),
    ([(530, 116), (604, 166), (668, 236), (698, 310), (706, 376), (698, 436)], [10, 60, 64, 52, 30, 0]),
    ([(520, 116), (590, 172), (640, 246), (660, 310), (656, 366)], [10, 70, 82, 56, 0]),
    ([(512, 116), (452, 170), (400, 236), (374, 300), (366, 360)], [10, 70, 84, 58, 0]),
    ([(522, 116), (560, 176), (594, 250), (604, 310), (592, 372)], [10, 62, 80, 58, 0]),
    ([(516, 116), (492, 176), (466, 250), (456, 316), (470, 384)], [10, 60, 92, 70, 0]),
    ([(520, 116), (528, 180), (536, 260), (534, 330), (508, 396)], [10, 56, 84, 66, 0]),
]
BACK = [
    ([(478, 112), (372, 150), (286, 260), (254, 420), (240, 590), (238, 740), (206, 850)], [6, 50, 84, 84, 84, 70, 0]),
    ([(546, 112), (652, 150), (738, 260), (770, 420), (784, 590), (786, 740), (822, 846)], [6, 50, 84, 84, 84, 70, 0]),
    ([(440, 150), (340, 260), (300, 430), (288, 600), (292, 750), (274, 890)], [40, 90, 90, 84, 76, 0]),
    ([(584, 150), (684, 260), (724, 430), (736, 600), (732, 750), (754, 884)], [40, 90, 90, 84, 76, 0]),
    ([(400, 300), (352, 560), (346, 720), (366, 820), (352, 900)], [40, 90, 84, 70, 0]),
    ([(624, 300), (672, 560), (678, 720), (658, 820), (674, 900)], [40, 90, 84, 70, 0]),
]
# Silhouette of the hair behind everything (image-left half).
NAPE = [
    (512, 98),
    (420, 108),
    (330, 158),
    (262, 262),
    (226, 400),
    (204, 580),
    (206, 720),
    (236, 800),
    (330, 850),
    (512, 860),
]


def lock(points: list, widths: list, fill: str, dark: str, light: str, ring: bool, seed: int) -> str:
    """One lock: outline, body, a shaded side, strands, and its part of the ring of light."""
    rng = np.random.default_rng(seed)
    left = points[-1][0] < 512
    side = -1 if left else 1
    out = path(ribbon(points, widths), fill, stroke="#4c3688", stroke_width=2.6, stroke_linejoin="round")
    out += path(inside_lock(points, widths, 0.1, 0.97, 0.62, 13), dark, opacity=0.45)
    out += path(inside_lock(points, widths, 0.25, 0.99, 0.3 * side, 6), dark, opacity=0.4)
    for _ in range(5):
        a = rng.uniform(0.05, 0.45)
        out += path(
            inside_lock(points, widths, a, a + rng.uniform(0.3, 0.5), rng.uniform(-0.8, 0.8), rng.uniform(1.5, 3)),
            dark,
            opacity=0.5,
        )
    for _ in range(4):
        a = rng.uniform(0.1, 0.5)
        out += path(
            inside_lock(points, widths, a, a + rng.uniform(0.2, 0.45), rng.uniform(-0.7, 0.5), rng.uniform(1.5, 3.5)),
            light,
            opacity=0.65,
        )
    if ring:
        xy = along(points, 200)
        at = float(np.interp(248 - 0.00055 * (xy[:, 0].mean() - 500) ** 2, xy[:, 1], np.linspace(0, 1, 200)))
        for offset in (-0.62, -0.3, 0.02, 0.34, 0.64):
            half = 0.10 * rng.uniform(0.55, 1.15)
            drop = rng.uniform(-0.02, 0.02)
            out += path(
                inside_lock(points, widths, max(at + drop - half, 0.02), float(at + drop + half), offset, 15),
                light,
                opacity=0.8,
            )
    return out


def eye() -> str:
    """The image-left eye; highlights are drawn apart since they are not mirrored."""
    white = d(np.vstack([curve(EYE_UPPER), curve(EYE_LOWER)]))
    return "".join(
        [
            f'<clipPath id="eye"><path d="{white}"/></clipPath>',
            path(white, "url(#white)"),
            '<g clip-path="url(#eye)">',
            '<ellipse cx="414" cy="504" rx="45" ry="55" fill="#17254f"/>',
            '<ellipse cx="414" cy="504" rx="42" ry="52" fill="url(#iris)"/>',
            '<ellipse cx="414" cy="530" rx="30" ry="24" fill="url(#glow)"/>',
            *(
                f'<path d="M414 504L{414 + 40 * np.cos(a):.1f} {504 + 50 * np.sin(a):.1f}" stroke="#c9fff2" stroke-width="1.6" '
                f'opacity="0.28"/>'
                for a in np.linspace(0.25, np.pi - 0.25, 15)
            ),
            '<ellipse cx="414" cy="502" rx="18" ry="25" fill="#0d1738"/>',
            '<ellipse cx="414" cy="502" rx="24" ry="31" fill="none" stroke="#0e2a5c" stroke-width="3" opacity="0.55"/>',
            path("M330 430H490V486Q450 470 412 472Q372 474 330 512Z", "#1c1140", opacity=0.5, filter="url(#b3)"),
            "</g>",
            path(ribbon([(352, 528), (366, 546), (396, 559), (430, 559), (454, 550)], [0, 4, 5, 3, 0]), "#6a3a62"),
            path(ribbon(LASH, [3, 13, 18, 17, 15, 10, 0]), "url(#lash)"),
            path(ribbon([(348, 509), (334, 504), (316, 494)], [16, 10, 0]), "url(#lash)"),
            path(ribbon([(347, 533), (341, 540), (332, 543)], [6, 4, 0]), "#5a2d58"),
            path(
                ribbon([(352, 458), (376, 438), (410, 428), (446, 436), (462, 450)], [0, 3.4, 4, 3, 0]),
                "#b8695f",
                opacity=0.8,
            ),
            path(ribbon(BROW, [1, 8, 10, 8, 3]), "url(#brow)"),
        ]
    )


def shine(x: float) -> str:
    return (
        f'<ellipse cx="{x - 15}" cy="482" rx="13" ry="17" fill="#fff" transform="rotate(18 {x - 15} 482)"/>'
        f'<circle cx="{x + 17}" cy="532" r="7" fill="#fff" opacity="0.9"/>'
        f'<circle cx="{x + 20}" cy="486" r="4" fill="#fff" opacity="0.75"/>'
    )


def draw() -> Drawing:
    face_closed = shape([*both(FACE), (700, 210), (512, 150), (324, 210)])
    defs = [
        gradient("skin", (0, "#ffe9dc"), (0.6, "#ffe3d3"), (1, "#f9cbb9"), x1=380, y1=300, x2=620, y2=720),
        gradient("neck", (0, "#d99a92"), (0.45, "#f3bfae"), (1, "#ffdccb"), x1=0, y1=700, x2=0, y2=860),
        gradient(
            "hair", (0, "#cfc0ff"), (0.35, "#b5a0f5"), (0.7, "#9c83e6"), (1, "#f0a3d6"), x1=0, y1=110, x2=0, y2=700
        ),
        gradient("fringe", (0, "#c3b1fb"), (0.5, "#b39df4"), (1, "#cdb9ff"), x1=0, y1=110, x2=0, y2=410),
        gradient(
            "hairback", (0, "#8d76d8"), (0.55, "#6e57bd"), (0.82, "#7f5bc0"), (1, "#d277bb"), x1=0, y1=150, x2=0, y2=900
        ),
        gradient("nape", (0, "#8d76d8"), (0.4, "#5b45a8"), (1, "#4a3590"), x1=0, y1=110, x2=0, y2=800),
        gradient("white", (0, "#b9b4d6"), (0.35, "#f4f2fb"), (1, "#ffffff"), x1=0, y1=452, x2=0, y2=556),
        gradient(
            "iris", (0, "#1d2a6b"), (0.38, "#1f62a8"), (0.7, "#27b7c0"), (1, "#8ef7dc"), x1=0, y1=452, x2=0, y2=556
        ),
        gradient("glow", (0, "#d6fff2", 0.95), (1, "#6ff0e0", 0), cx=414, cy=536, r=30),
        gradient("lash", (0, "#2a1638"), (0.7, "#3c1d44"), (1, "#7a3550"), x1=420, y1=440, x2=330, y2=520),
        gradient("brow", (0, "#6b54a6"), (1, "#7d66bb"), x1=340, y1=0, x2=460, y2=0),
        gradient("hoodie", (0, "#403c68"), (0.5, "#2b2850"), (1, "#1d1b3b"), x1=260, y1=780, x2=640, y2=1024),
        gradient("hood", (0, "#2f2b55"), (1, "#15132d"), x1=0, y1=740, x2=0, y2=900),
        gradient("lining", (0, "#3fd3c2"), (1, "#1f8f9b"), x1=400, y1=760, x2=620, y2=940),
        gradient("rim", (0, "#b3f5ff", 0.0), (0.7, "#b3f5ff", 0.0), (1, "#b3f5ff", 0.9), x1=512, y1=0, x2=900, y2=0),
        blur("b2", 2),
        blur("b3", 4),
        blur("b8", 8),
        blur("b14", 14),
        blur("b24", 24),
        clip("face", face_closed),
    ]
    neck = shape(
        [
            (460, 640),
            (465, 735),
            (455, 798),
            (420, 850),
            (512, 905),
            (604, 850),
            (569, 798),
            (559, 735),
            (564, 640),
            (512, 600),
        ]
    )
    body_half = [(512, 862), (462, 850), (420, 812), (372, 836), (280, 868), (216, 912), (178, 1000), (172, 1040, 1)]
    body = d(np.vstack([curve(body_half[::-1]), curve(mirror(body_half[::-1]))]))
    hood = shape(
        [
            (404, 880),
            (352, 850),
            (338, 800),
            (372, 752),
            (440, 730),
            (584, 730),
            (652, 752),
            (686, 800),
            (672, 850),
            (620, 880),
        ]
    )
    flap = [
        (512, 960),
        (462, 900),
        (424, 838),
        (400, 786),
        (376, 790),
        (346, 818),
        (338, 850),
        (380, 900),
        (440, 946),
        (494, 978),
    ]
    flap_left = path(shape(flap), "url(#hoodie)", stroke="#131129", stroke_width=3)
    flap_left += path(ribbon([(402, 790), (428, 840), (466, 900), (508, 952)], [3, 14, 16, 6]), "url(#lining)")
    flap_left += path(ribbon([(352, 826), (346, 852), (386, 898), (444, 940)], [0, 5, 5, 0]), "#6a66a0", opacity=0.7)
    string = (
        path(ribbon([(452, 906), (446, 950), (452, 1000)], [7, 7, 7]), "#e9e6ff", stroke="#15132d", stroke_width=2)
        + '<rect x="444" y="994" width="16" height="26" rx="6" fill="#3fd3c2" stroke="#15132d" stroke-width="2"/>'
    )
    body_art = "".join(
        [
            path(body, "url(#hoodie)", stroke="#131129", stroke_width=3),
            f'<clipPath id="body"><path d="{body}"/></clipPath><g clip-path="url(#body)">',
            path(
                shape(
                    [
                        (250, 860),
                        (330, 900),
                        (420, 980),
                        (520, 1000),
                        (620, 970),
                        (700, 900),
                        (760, 860),
                        (640, 830),
                        (380, 830),
                    ]
                ),
                "#0d0b24",
                opacity=0.55,
                filter="url(#b14)",
            ),
            path(ribbon([(300, 1030), (286, 970), (270, 930)], [16, 10, 0]), "#12102b", opacity=0.7, filter="url(#b3)"),
            path(ribbon([(724, 1030), (738, 970), (754, 930)], [16, 10, 0]), "#12102b", opacity=0.7, filter="url(#b3)"),
            path(
                ribbon([(180, 1020), (214, 926), (280, 874), (370, 842)], [3, 12, 10, 0]),
                "#8f8acb",
                opacity=0.75,
                filter="url(#b3)",
            ),
            path(
                ribbon([(846, 1020), (812, 922), (744, 872), (654, 840)], [6, 16, 10, 0]),
                "#7ff0f0",
                opacity=0.55,
                filter="url(#b3)",
            ),
            "</g>",
        ]
    )
    nape = d(curve(both(NAPE)))
    hair_back = "".join(lock(p, w, "url(#hairback)", "#4a3594", "#9d86e6", False, i) for i, (p, w) in enumerate(BACK))
    fringe = "".join(
        lock(p, w, "url(#hair)" if i < 2 else "url(#fringe)", "#7a60cf", "#f3ecff", True, 20 + i)
        for i, (p, w) in enumerate(FRINGE)
    )
    shadow = "".join(path(ribbon([(x + 4, y + 20) for x, y in p], w), "#c9786f") for p, w in FRINGE)
    ahoge = lock(
        [(520, 128), (500, 84), (536, 46), (590, 52)], [14, 26, 18, 0], "url(#fringe)", "#7a60cf", "#f3ecff", False, 7
    )
    star = "M0 -26L7.6 -9.5L25 -8L12 4L15.6 21L0 12L-15.6 21L-12 4L-25 -8L-7.6 -9.5Z"
    clip_star = (
        f'<g transform="translate(690 318) rotate(14)"><path d="{star}" fill="#0d0b24" opacity="0.35" transform="translate(3 6)"'
        f' filter="url(#b3)"/><path d="{star}" fill="#ffd25e" stroke="#b3752a" stroke-width="3" stroke-linejoin="round"/>'
        f'<path d="M0 -20L5 -7L-4 2L-19 -6L-6 -8Z" fill="#fff3c0" opacity="0.9"/></g>'
        '<g transform="translate(716 372) rotate(-32)"><rect x="-22" y="-5" width="44" height="10" rx="5" fill="#3fd3c2" '
        'stroke="#187c86" stroke-width="2.5"/><rect x="-18" y="-3.4" width="26" height="3" rx="1.5" fill="#d5fff7"/></g>'
    )
    cheeks = "".join(
        f'<ellipse cx="{x}" cy="588" rx="46" ry="24" fill="#ff8f8f" opacity="0.5" filter="url(#b14)"/>'
        + "".join(
            f'<path d="M{x + k} 596l8 -16" stroke="#f0787c" stroke-width="2.6" stroke-linecap="round" opacity="0.55"/>'
            for k in (-24, -8, 8)
        )
        for x in (370, 654)
    )
    svg = sheet(
        defs,
        path(nape, "url(#nape)", stroke="#4c3688", stroke_width=2.6),
        hair_back,
        f'<clipPath id="innape"><path d="{nape}"/></clipPath><g clip-path="url(#innape)">',
        path(
            ribbon([(600, 104), (700, 160), (768, 270), (800, 400), (822, 580), (818, 730)], [4, 16, 20, 16, 14, 0]),
            "#a8f0ff",
            opacity=0.75,
            filter="url(#b3)",
        ),
        path(
            ribbon([(430, 106), (330, 158), (262, 262), (226, 400), (206, 560)], [0, 10, 12, 10, 0]),
            "#e9deff",
            opacity=0.6,
            filter="url(#b3)",
        ),
        path(
            shape([(330, 640), (512, 600), (694, 640), (690, 800), (512, 860), (334, 800)]),
            "#2a1c60",
            opacity=0.55,
            filter="url(#b14)",
        ),
        "</g>",
        path(hood, "url(#hood)", stroke="#0d0b24", stroke_width=3),
        path(neck, "url(#neck)"),
        path(
            shape([(456, 660), (462, 730), (474, 770), (512, 786), (550, 768), (562, 730), (568, 660)]),
            "#b96a70",
            opacity=0.55,
            filter="url(#b8)",
        ),
        path(ribbon([(470, 862), (490, 872), (500, 892)], [0, 4, 0]), "#c98478", opacity=0.8),
        path(ribbon([(554, 862), (534, 872), (524, 892)], [0, 4, 0]), "#c98478", opacity=0.8),
        body_art,
        flap_left,
        flip(flap_left),
        string,
        flip(string),
        path(face_closed, "url(#skin)", stroke="#8a4a50", stroke_width=3),
        '<g clip-path="url(#face)">',
        path(
            d(np.vstack([curve(both(FACE[3:])), curve(both([(330, 560), (380, 622), (440, 664), (512, 690)]))[::-1]])),
            "#e59a8c",
            opacity=0.5,
            filter="url(#b8)",
        ),
        path(
            ribbon([(716, 430), (708, 520), (684, 600), (640, 652)], [0, 16, 20, 0]),
            "#ffd0ec",
            opacity=0.7,
            filter="url(#b3)",
        ),
        f'<g opacity="0.42" filter="url(#b2)">{shadow}</g>',
        cheeks,
        '<ellipse cx="512" cy="600" rx="20" ry="8" fill="#e79c88" opacity="0.45" filter="url(#b3)"/>',
        path(ribbon([(508, 590), (514, 598), (507, 602)], [0, 4, 0]), "#b8695f"),
        '<circle cx="510" cy="578" r="5" fill="#fff" opacity="0.8" filter="url(#b2)"/>',
        path(
            shape([(476, 635), (494, 637), (512, 640), (530, 637), (548, 635), (532, 651), (512, 655), (492, 651)]),
            "#f09a90",
            opacity=0.5,
            filter="url(#b2)",
        ),
        path(ribbon(MOUTH, [2, 5, 4, 5, 2]), "#96414f"),
        path(ribbon([(496, 664), (512, 667), (528, 664)], [0, 4, 0]), "#d98c7e", opacity=0.7),
        "</g>",
        eye(),
        flip(eye().replace('id="eye"', 'id="eyer"').replace("url(#eye)", "url(#eyer)")),
        shine(414),
        shine(610),
        fringe,
        ahoge,
        clip_star,
    )
    upper = [(474, 634), (483, 633), (498, 634), (512, 636)]
    lower = [(550, 634), (537, 648), (525, 653), (512, 655)]
    outer = [*both(upper), *lower[1:], *mirror(lower[1:3])]
    mouth = along(MOUTH, 5)
    eye_left = [(346, 521), (381, 463), (443, 463), (473, 524), (428, 556), (376, 548)]
    landmarks = {
        "jaw": along(both(FACE[2:]), 17),
        "brow_left": along(BROW, 5),
        "brow_right": along(mirror(BROW), 5),
        "nose": [
            (512, 508),
            (512, 534),
            (512, 560),
            (511, 584),
            (494, 598),
            (503, 601),
            (512, 603),
            (521, 601),
            (530, 598),
        ],
        "eye_left": eye_left,
        "eye_right": [mirror([eye_left[i]])[0] for i in (3, 2, 1, 0, 5, 4)],
        "lips": np.vstack([outer, mouth, mouth[[3, 2, 1]] + (0, 1)]),
        "pupils": [(414, 503), (610, 503)],
    }
    return Drawing("anime", svg, {k: np.array(v, float) for k, v in landmarks.items()})
