"""Miso: a ginger tabby with green eyes."""
# ruff: noqa: E501

from __future__ import annotations

import numpy as np

from faceshot.assets.source import fur
from faceshot.assets.source.ink import (
    Drawing,
    along,
    blur,
    both,
    curve,
    d,
    flip,
    gradient,
    mirror,
    path,
    ribbon,
    shape,
    sheet,
)

GLSL = """
vec2 map(vec3 p) {
  vec3 q = vec3(abs(p.x), p.yz);
  float head = ellipsoid(p - vec3(0, 0.055, 0), vec3(0.53, 0.49, 0.46));
  head = smin(head, ellipsoid(q - vec3(0.27, -0.17, 0.08), vec3(0.29, 0.21, 0.30)), 0.14);
  float ear = capsule(vec3(q.x, q.y, q.z * 2.2), vec3(0.31, 0.36, 0.0), vec3(0.45, 0.70, 0.0), 0.165, 0.026) * 0.6;
  head = smin(head, ear, 0.06);
  vec3 e = q - vec3(0.358, 0.46, 0.10);
  head = smax(head, -ellipsoid(vec3(turn(e.xy, 0.36), e.z), vec3(0.075, 0.19, 0.055)), 0.05);
  float brow = ellipsoid(q - vec3(0.2, 0.15, 0.40), vec3(0.17, 0.09, 0.08)); head = smin(head, brow, 0.12);
  float muzzle = ellipsoid(q - vec3(0.085, -0.205, 0.43), vec3(0.125, 0.095, 0.12));
  muzzle = smin(muzzle, ellipsoid(p - vec3(0, -0.295, 0.37), vec3(0.10, 0.075, 0.11)), 0.05);
  muzzle = smin(muzzle, capsule(p, vec3(0, 0.1, 0.40), vec3(0, -0.12, 0.50), 0.06, 0.05), 0.10);
  head = smin(head, muzzle, 0.05);
  float body = ellipsoid(p - vec3(0, -1.08, -0.16), vec3(0.56, 0.60, 0.42));
  body = smin(body, ellipsoid(q - vec3(0.34, -1.0, -0.12), vec3(0.26, 0.40, 0.30)), 0.14);
  body = smin(body, ellipsoid(p - vec3(0, -0.78, 0.06), vec3(0.26, 0.26, 0.20)), 0.12);
  body = smin(body, capsule(p, vec3(0, -0.3, -0.1), vec3(0, -0.7, -0.1), 0.29, 0.33), 0.15);
  vec2 r = pick(vec2(head, 0.0), vec2(body, 1.0));
  float collar = torus(vec3(p.x, p.y + 0.535 - 0.16 * p.z, p.z + 0.10), 0.335, 0.036);
  return pick(r, vec2(collar * 0.8, 2.0)); }
Look look(float m, vec3 p, vec3 n) {
  Look k; k.gloss = 0.05; k.rough = 0.6; k.soft = 0.7; k.glow = vec3(0.0);
  float x = abs(p.x);
  vec3 ginger = vec3(0.88, 0.47, 0.17), dark = vec3(0.56, 0.24, 0.08), white = vec3(0.92, 0.86, 0.78);
  if (m > 1.5) { k.albedo = vec3(0.08, 0.42, 0.52); k.gloss = 0.5; k.rough = 0.35; k.soft = 0.0; return k; }
  vec3 c = mix(ginger, vec3(0.93, 0.62, 0.34), smoothstep(0.1, -0.3, p.y) * 0.6);
  float w = 0.035 * (fbm(p * 9.0) - 0.5);
  if (m < 0.5) {
    float s = smoothstep(0.030, 0.012, abs(x - 0.13 - 0.10 * (p.y - 0.3) + w)) * smoothstep(0.20, 0.28, p.y) * smoothstep(0.56, 0.40, p.y);
    s = max(s, smoothstep(0.028, 0.010, abs(p.x + w)) * smoothstep(0.24, 0.34, p.y) * smoothstep(0.56, 0.46, p.y));
    s = max(s, smoothstep(0.026, 0.010, abs(x - 0.25 - 0.35 * (p.y - 0.3) + w)) * smoothstep(0.26, 0.32, p.y) * smoothstep(0.52, 0.42, p.y));
    float cheek = smoothstep(0.022, 0.008, abs(p.y + 0.04 + 0.30 * (x - 0.4) + w)) + smoothstep(0.022, 0.008, abs(p.y + 0.14 + 0.15 * (x - 0.4) + w));
    s = max(s, cheek * smoothstep(0.40, 0.50, x));
    c = mix(c, dark, s * 0.8);
    float pale = smoothstep(0.24, 0.17, length(vec2(p.x * 0.85, (p.y + 0.27) * 1.15)) + w);
    pale = max(pale, smoothstep(0.06, 0.02, x + w) * smoothstep(0.22, -0.02, p.y));
    pale = max(pale, smoothstep(-0.30, -0.40, p.y + 0.3 * w));
    pale = max(pale, 0.75 * smoothstep(0.05, 0.02, abs(length(vec2((x - 0.205) / 0.155, (p.y - 0.06) / 0.145)) - 1.05) * 0.14));
    c = mix(c, white, pale);
    vec3 e = vec3(x, p.yz) - vec3(0.358, 0.46, 0.10);
    float inner = length(vec3(turn(e.xy, 0.36), 0.0) / vec3(0.072, 0.18, 1.0));
    c = mix(c, vec3(0.95, 0.52, 0.46), smoothstep(1.0, 0.75, inner + w * 4.0) * step(0.2, p.y));
  } else {
    float chest = smoothstep(0.34, 0.20, x + w * 2.0 + 0.15 * (p.y + 0.9));
    float s = smoothstep(0.03, 0.01, abs(fract((p.y + 0.35 * x) * 5.5) - 0.5) * 0.2 - 0.012 + w) * smoothstep(0.34, 0.42, x);
    c = mix(mix(c, dark, s * 0.7), white, chest); }
  k.albedo = c * c * 1.02; return k; }
"""
EYE_U = [(346, 492), (362, 456), (396, 430), (434, 434), (462, 462), (478, 506)]
EYE_L = [(478, 506), (452, 522), (414, 528), (376, 520), (346, 492)]
MOUTH = [(424, 652), (446, 668), (474, 671), (500, 660), (512, 646), (524, 660), (550, 671), (578, 668), (600, 652)]
BROW = [(344, 390), (372, 364), (406, 354), (440, 362), (464, 382)]


def eye(tag: str) -> str:
    white = d(np.vstack([curve(EYE_U), curve(EYE_L)]))
    rays = "".join(
        f'<path d="M412 480L{412 + 44 * np.cos(a):.1f} {480 + 50 * np.sin(a):.1f}" stroke="#f4ffb0" stroke-width="2" opacity="0.25"/>'
        for a in np.linspace(0, 2 * np.pi, 30)
    )
    return "".join(
        [
            path(
                white,
                "#4a1d08",
                stroke="#3a1606",
                stroke_width=22,
                stroke_linejoin="round",
                opacity=0.55,
                filter="url(#b6)",
            ),
            f'<clipPath id="{tag}"><path d="{white}"/></clipPath>',
            path(white, "#f3f3dc"),
            f'<g clip-path="url(#{tag})">',
            '<ellipse cx="412" cy="480" rx="51" ry="53" fill="#2f4a12"/><ellipse cx="412" cy="480" rx="48" ry="50" fill="url(#iris)"/>',
            rays,
            '<ellipse cx="412" cy="502" rx="34" ry="22" fill="url(#glow)"/>',
            '<ellipse cx="412" cy="480" rx="20" ry="36" fill="#0c0d08"/>',
            path("M330 420H490V462Q420 430 330 480Z", "#1a1004", opacity=0.55, filter="url(#b6)"),
            "</g>",
            path(
                ribbon(
                    [(336, 488), (360, 450), (396, 424), (436, 428), (466, 458), (486, 512)], [4, 12, 15, 14, 12, 5]
                ),
                "#2a1108",
            ),
            path(ribbon([(480, 508), (452, 526), (414, 532), (374, 524), (344, 492)], [7, 6, 6, 6, 4]), "#2a1108"),
        ]
    )


def shine(x: float) -> str:
    return (
        f'<ellipse cx="{x - 17}" cy="460" rx="13" ry="16" fill="#fff" transform="rotate(18 {x - 17} 460)"/>'
        f'<circle cx="{x + 19}" cy="504" r="6.5" fill="#fff" opacity="0.85"/>'
    )


def draw() -> Drawing:
    defs = [
        gradient("iris", (0, "#4f7d14"), (0.45, "#8cc02a"), (1, "#e6f07a"), x1=0, y1=430, x2=0, y2=530),
        gradient("glow", (0, "#fbffc4", 0.9), (1, "#d8f06a", 0), cx=412, cy=506, r=34),
        gradient("nose", (0, "#ff9d97"), (0.6, "#e4716f"), (1, "#b34a50"), x1=0, y1=578, x2=0, y2=622),
        gradient("bell", (0, "#fff3b0"), (0.45, "#f5c13a"), (1, "#9a5a10"), cx=504, cy=806, r=48),
        blur("b2", 2),
        blur("b6", 6),
    ]
    whisker = "".join(
        path(ribbon(p, [3.4, 2.6, 1.6, 0]), "#fffaf0", opacity=0.9)
        for p in (
            [(428, 612), (350, 596), (270, 600), (196, 622)],
            [(426, 626), (346, 626), (266, 644), (204, 676)],
            [(430, 640), (362, 656), (296, 690), (250, 730)],
        )
    )
    dots = "".join(
        f'<circle cx="{x}" cy="{y}" r="3.2" fill="#8a4a2c" opacity="0.7"/>'
        for x, y in [(452, 612), (436, 622), (458, 630), (440, 640), (466, 646)]
    )
    brow = path(ribbon(BROW, [2, 9, 12, 10, 3]), "#6b2a08", opacity=0.85, filter="url(#b2)")
    svg = sheet(
        defs,
        '<image href="shape:" width="1024" height="1024"/>',
        brow,
        flip(brow),
        eye("el"),
        flip(eye("er")),
        shine(412),
        shine(612),
        path(
            ribbon(MOUTH, [0, 7, 8, 8, 9, 8, 8, 7, 0]),
            "#6b2f2a",
            filter="url(#b2)",
            opacity=0.5,
            transform="translate(0 3)",
        ),
        path(ribbon(MOUTH, [2, 5, 6, 6, 6, 6, 6, 5, 2]), "#4a1c1a"),
        path(ribbon([(512, 618), (512, 634), (512, 648)], [7, 5, 6]), "#4a1c1a"),
        path(
            shape([(512, 580), (540, 582), (552, 592), (536, 612), (512, 624), (488, 612), (472, 592), (484, 582)]),
            "#3a0f0c",
            opacity=0.5,
            filter="url(#b6)",
        ),
        path(
            shape([(512, 578), (538, 580), (549, 590), (534, 609), (512, 620), (490, 609), (475, 590), (486, 580)]),
            "url(#nose)",
        ),
        path(ribbon([(486, 604), (494, 600), (500, 606)], [0, 6, 0]), "#7a2a30"),
        path(ribbon([(538, 604), (530, 600), (524, 606)], [0, 6, 0]), "#7a2a30"),
        '<ellipse cx="500" cy="586" rx="14" ry="4.5" fill="#fff" opacity="0.75" filter="url(#b2)"/>',
        dots,
        flip(dots),
        whisker,
        flip(whisker),
        '<circle cx="512" cy="818" r="31" fill="url(#bell)" stroke="#6b3c08" stroke-width="2.5"/><path d="M482 822H542" stroke="#7a4a0c" stroke-width="4"/>'
        '<circle cx="512" cy="832" r="5" fill="#4a2a06"/><path d="M512 834V848" stroke="#4a2a06" stroke-width="4"/>'
        '<ellipse cx="502" cy="802" rx="10" ry="6" fill="#fff" opacity="0.85" filter="url(#b2)"/>',
    )
    jaw = both([(248, 450), (234, 530), (226, 594), (256, 652), (314, 696), (392, 717), (460, 722), (512, 723)])
    eye_left = [(346, 492), (381, 438), (441, 438), (478, 506), (435, 526), (385, 523)]
    inner = np.array([MOUTH[0], MOUTH[2], MOUTH[4], MOUTH[6], MOUTH[8]], float)
    upper = np.array([(424, 652), (448, 660), (480, 660), (512, 640), (544, 660), (576, 660), (600, 652)], float)
    lower = np.array([(576, 680), (546, 682), (512, 664), (478, 682), (448, 680)], float)
    landmarks = {
        "jaw": along(jaw, 17),
        "brow_left": along(BROW, 5),
        "brow_right": along(mirror(BROW), 5),
        "nose": [
            (512, 490),
            (512, 525),
            (512, 556),
            (512, 582),
            (478, 596),
            (494, 610),
            (512, 619),
            (530, 610),
            (546, 596),
        ],
        "eye_left": eye_left,
        "eye_right": [mirror([eye_left[i]])[0] for i in (3, 2, 1, 0, 5, 4)],
        "lips": np.vstack([upper, lower, inner, inner[[3, 2, 1]] + (0, 1)]),
        "pupils": [(412, 480), (612, 480)],
    }

    def finish(rgba: np.ndarray, normals: np.ndarray) -> np.ndarray:
        return fur.comb(rgba, normals, (0, 1), 17, 70000, centre=(512, 590))

    return Drawing(
        "animal", svg, {k: np.array(v, float) for k, v in landmarks.items()}, glsl=GLSL, finish=finish, step=6
    )
