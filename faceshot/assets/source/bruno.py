"""Bruno: a plush teddy bear with button eyes, a stitched muzzle and a knitted scarf."""
# ruff: noqa: E501

from __future__ import annotations

import numpy as np

from faceshot.assets.source import fur
from faceshot.assets.source.ink import Drawing, along, blur, both, gradient, mirror, path, ribbon, shape, sheet

GLSL = """
vec2 map(vec3 p) {
  vec3 q = vec3(abs(p.x), p.yz);
  float head = ellipsoid(p - vec3(0, 0.06, 0), vec3(0.53, 0.48, 0.46));
  head = smin(head, ellipsoid(q - vec3(0.22, -0.14, 0.08), vec3(0.30, 0.24, 0.30)), 0.18);
  vec3 e = q - vec3(0.425, 0.43, -0.02);
  float ear = smax(ellipsoid(e, vec3(0.185, 0.185, 0.10)), -ellipsoid(e - vec3(-0.012, -0.015, 0.11), vec3(0.115, 0.115, 0.075)), 0.05);
  head = smin(head, ear, 0.035);
  float seam = abs(p.x) ; head += 0.010 * smoothstep(0.014, 0.0, seam) * smoothstep(0.05, 0.12, p.y);
  float muzzle = ellipsoid(p - vec3(0, -0.19, 0.36), vec3(0.26, 0.205, 0.20));
  muzzle += 0.008 * smoothstep(0.012, 0.0, abs(p.x)) ;
  float body = ellipsoid(p - vec3(0, -1.12, -0.12), vec3(0.62, 0.62, 0.45));
  body = smin(body, ellipsoid(q - vec3(0.46, -0.98, -0.05), vec3(0.20, 0.34, 0.22)), 0.08);
  vec2 r = pick(vec2(head, 0.0), vec2(body, 1.0)); r = pick(r, vec2(muzzle, 2.0));
  vec3 s = p + vec3(0, 0.535, 0.06); s.y -= 0.10 * s.z + 0.03 * sin(s.x * 7.0);
  float scarf = torus(s * vec3(1.0, 0.80, 1.0), 0.315, 0.088);
  float tail = box(vec3(turn(p.xy - vec2(0.17, -0.80), 0.16), p.z - 0.37), vec3(0.095, 0.22, 0.035), 0.03);
  tail = smin(tail, ellipsoid(p - vec3(0.14, -0.585, 0.34), vec3(0.085, 0.075, 0.075)), 0.03);
  float a = atan(p.x, p.z + 0.06) * 0.32;
  scarf -= 0.007 * (0.5 + 0.5 * cos(a * 170.0)) * (0.6 + 0.4 * abs(cos(s.y * 60.0 + a * 85.0)));
  tail -= 0.006 * (0.5 + 0.5 * cos(p.x * 190.0)) * (0.6 + 0.4 * abs(cos(p.y * 70.0 + p.x * 95.0)));
  r = pick(r, vec2(scarf * 0.85, 3.0));
  r = pick(r, vec2(tail * 0.85, 4.0));
  return r; }
Look look(float m, vec3 p, vec3 n) {
  Look k; k.gloss = 0.03; k.rough = 0.7; k.soft = 0.75; k.glow = vec3(0.0); float x = abs(p.x);
  vec3 brown = vec3(0.60, 0.37, 0.20), cream = vec3(0.93, 0.78, 0.56); float w = 0.05 * (fbm(p * 7.0) - 0.5);
  vec3 c = brown * (1.0 + 1.5 * w);
  if (m < 0.5) { float e = length(vec3(x, p.yz) - vec3(0.413, 0.415, 0.03)); c = mix(c, cream * 0.95, smoothstep(0.125, 0.105, e + w * 0.2) * step(0.0, n.z)); }
  if (m > 0.5 && m < 1.5) c = mix(c, cream, smoothstep(0.40, 0.36, length(vec2(p.x, (p.y + 1.12) * 0.9)) + w * 0.3));
  if (m > 1.5 && m < 2.5) c = cream;
  if (m > 2.5) { float a = m > 3.5 ? (p.y - 0.18 * p.x) * 0.9 : atan(p.x, p.z + 0.06) * 0.32;
    c = mix(vec3(0.80, 0.16, 0.17), vec3(0.95, 0.86, 0.74), smoothstep(0.86, 0.94, sin(a * 34.0))); k.soft = 0.35; }
  k.albedo = c * c; return k; }
"""
MOUTH = [(432, 646), (454, 669), (486, 674), (512, 654), (538, 674), (570, 669), (592, 646)]
BROW = [(350, 346), (377, 325), (406, 318), (435, 325), (458, 342)]
EYE = (407, 462)


def button() -> str:
    """The image-left button: a disc with a rim, four holes and thread; shading is painted so that it is crisp."""
    x, y = EYE
    holes = [(x + i, y + j) for i in (-13, 13) for j in (-12, 12)]
    return "".join(
        [
            f'<ellipse cx="{x + 4}" cy="{y + 12}" rx="58" ry="56" fill="#1a0a02" opacity="0.6" filter="url(#b8)"/>',
            f'<circle cx="{x}" cy="{y}" r="53" fill="url(#edge)" stroke="#120a08" stroke-width="2.5"/>',
            f'<circle cx="{x}" cy="{y}" r="41" fill="url(#dish)"/>',
            f'<circle cx="{x}" cy="{y}" r="41" fill="none" stroke="#0a0504" stroke-width="3" opacity="0.8"/>',
            f'<path d="M{x - 46} {y + 8}A47 47 0 0 1 {x + 20} {y - 42}" fill="none" stroke="#d8c4ba" stroke-width="6" stroke-linecap="round" opacity="0.75" filter="url(#b2)"/>',
            f'<path d="M{x + 40} {y + 22}A46 46 0 0 1 {x + 8} {y + 46}" fill="none" stroke="#8fb6d8" stroke-width="5" stroke-linecap="round" opacity="0.55" filter="url(#b2)"/>',
            *(
                f'<circle cx="{a}" cy="{b}" r="6.5" fill="#050202"/><path d="M{a - 5} {b + 5}A7 7 0 0 0 {a + 6} {b + 3}" stroke="#7a5c50" stroke-width="1.8" fill="none"/>'
                for a, b in holes
            ),
            path(ribbon([holes[0], holes[3]], [7, 8, 7]), "#c23a36"),
            path(ribbon([holes[1], holes[2]], [7, 8, 7]), "#d94a42"),
            f'<path d="M{x - 10} {y - 11}L{x + 9} {y + 8}M{x - 9} {y + 9}L{x + 9} {y - 9}" stroke="#ff9a8c" stroke-width="1.6" opacity="0.8"/>',
        ]
    )


def stitches(points: list, n: int, size: float, colour: str) -> str:
    xy = along(points, n)
    t = np.gradient(xy, axis=0)
    t /= np.hypot(*t.T)[:, None]
    return "".join(
        path(ribbon([tuple(p - v * size), tuple(p + v * size)], [4, 5, 4]), colour) for p, v in zip(xy, t, strict=True)
    )


def draw() -> Drawing:
    defs = [
        gradient("edge", (0, "#6b4a3e"), (0.5, "#2c1a14"), (1, "#120907"), x1=365, y1=415, x2=450, y2=510),
        gradient("dish", (0, "#170c09"), (0.55, "#3a231b"), (1, "#6a473a"), x1=375, y1=425, x2=440, y2=505),
        gradient("nose", (0, "#7a4a38"), (0.5, "#3c1f16"), (1, "#1c0d09"), x1=480, y1=545, x2=540, y2=612),
        blur("b2", 2),
        blur("b5", 5),
        blur("b8", 8),
    ]
    brow = path(ribbon(BROW, [6, 15, 18, 15, 6]), "#2a1206", opacity=0.5, filter="url(#b5)", transform="translate(0 6)")
    brow += path(ribbon(BROW, [5, 13, 16, 13, 5]), "#4a2812")
    brow += stitches(BROW, 9, 6, "#6b3d1e")
    right_button = f'<g transform="translate({1024 - 2 * EYE[0]} 0)">{button()}</g>'
    nose = [(512, 548), (552, 552), (566, 570), (548, 594), (512, 612), (476, 594), (458, 570), (472, 552)]
    svg = sheet(
        defs,
        '<image href="shape:" width="1024" height="1024"/>',
        brow,
        f'<g transform="matrix(-1 0 0 1 1024 0)">{brow}</g>',
        button(),
        right_button,
        stitches([(512, 252), (512, 300), (512, 350), (512, 410)], 6, 9, "#3a1e0c"),
        path(
            ribbon(MOUTH, [4, 11, 12, 11, 12, 11, 4]),
            "#6b3d1e",
            opacity=0.55,
            filter="url(#b5)",
            transform="translate(0 4)",
        ),
        path(ribbon(MOUTH, [5, 9, 9, 9, 9, 9, 5]), "#2e160b"),
        path(ribbon([(512, 606), (512, 632), (512, 658)], [9, 8, 9]), "#2e160b"),
        path(shape([(x, y + 8) for x, y in nose]), "#4a2410", opacity=0.6, filter="url(#b5)"),
        path(shape(nose), "url(#nose)", stroke="#150906", stroke_width=2),
        "".join(
            path(
                ribbon(
                    [(a, 553 + abs(a - 512) * 0.10), (512 + (a - 512) * 0.62, 604 - abs(a - 512) * 0.28)],
                    [1.5, 2.4, 1.5],
                ),
                "#8a5a44",
                opacity=0.4,
            )
            for a in range(474, 556, 8)
        ),
        '<ellipse cx="494" cy="562" rx="20" ry="7" fill="#fff" opacity="0.55" filter="url(#b2)" transform="rotate(-8 494 562)"/>',
    )
    x, y = EYE
    r = 53.0
    angles = np.radians([180, 240, 300, 0, 60, 120])
    eye_left = [(x + r * np.cos(a), y + r * np.sin(a)) for a in angles]
    jaw = both([(246, 440), (236, 520), (254, 600), (290, 656), (344, 696), (406, 714), (460, 719), (512, 720)])
    inner = np.array([MOUTH[0], MOUTH[2], MOUTH[3], MOUTH[4], MOUTH[6]], float)
    upper = np.array([(432, 646), (458, 659), (488, 664), (512, 645), (536, 664), (566, 659), (592, 646)], float)
    lower = np.array([(568, 682), (536, 685), (512, 670), (488, 685), (456, 682)], float)
    landmarks = {
        "jaw": along(jaw, 17),
        "brow_left": along(BROW, 5),
        "brow_right": along(mirror(BROW), 5),
        "nose": [
            (512, 478),
            (512, 510),
            (512, 540),
            (512, 556),
            (464, 580),
            (488, 600),
            (512, 610),
            (536, 600),
            (560, 580),
        ],
        "eye_left": eye_left,
        "eye_right": [mirror([eye_left[i]])[0] for i in (3, 2, 1, 0, 5, 4)],
        "lips": np.vstack([upper, lower, inner, inner[[3, 2, 1]] + (0, 1)]),
        "pupils": [EYE, (1024 - x, y)],
    }

    def finish(rgba: np.ndarray, normals: np.ndarray) -> np.ndarray:
        plush = fur.comb(rgba, normals, (0, 1), 13, 60000, centre=(512, 600), curl=1.1, contrast=0.13)
        return fur.comb(plush, normals, (2,), 8, 14000, centre=(512, 600), curl=1.2, contrast=0.06)

    return Drawing(
        "toy",
        svg,
        {k: np.array(v, float) for k, v in landmarks.items()},
        absent=("pupils",),
        glsl=GLSL,
        finish=finish,
        step=6,
    )
