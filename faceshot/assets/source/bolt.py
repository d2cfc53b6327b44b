"""Bolt: a small robot with a glass face of light."""
# ruff: noqa: E501

from __future__ import annotations

import numpy as np

from faceshot.assets.source.ink import (
    Drawing,
    Points,
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
    sheet,
)

GLSL = """
vec2 map(vec3 p) {
  vec3 q = vec3(abs(p.x), p.yz);
  vec3 h = p - vec3(0, 0.05, 0);
  float head = box(h * vec3(1.0, 1.0 + 0.10 * h.x * h.x, 1.0), vec3(0.50, 0.415, 0.36), 0.20);
  head = smin(head, ellipsoid(h, vec3(0.53, 0.44, 0.38)), 0.10);
  float glass = box(h - vec3(0, -0.02, 0.30), vec3(0.415, 0.315, 0.125), 0.115);
  glass = smin(glass, ellipsoid(h - vec3(0, -0.02, 0.29), vec3(0.43, 0.33, 0.155)), 0.06);
  head = smax(head, -(glass - 0.020), 0.030);
  head += 0.005 * smoothstep(0.012, 0.004, abs(q.x - 0.30)) * smoothstep(0.16, 0.19, h.y);
  vec3 c = q - vec3(0.515, 0.03, 0.0);
  float ear = cylinder(c.yxz, 0.055, 0.175, 0.035);
  float ring = cylinder((c - vec3(0.05, 0, 0)).yxz, 0.030, 0.125, 0.02);
  float knob = cylinder((c - vec3(0.085, 0, 0)).yxz, 0.025, 0.075, 0.018);
  float mast = capsule(p, vec3(0, 0.44, -0.02), vec3(0, 0.64, -0.02), 0.020, 0.014);
  float base = cylinder(p - vec3(0, 0.485, -0.02), 0.035, 0.085, 0.025);
  float bulb = sphere(p - vec3(0, 0.685, -0.02), 0.062);
  float neck = cylinder(p - vec3(0, -0.47, -0.06), 0.14, 0.165 + 0.016 * cos(p.y * 95.0), 0.02);
  float body = ellipsoid(p - vec3(0, -1.06, -0.10), vec3(0.60, 0.50, 0.40));
  body = smin(body, box(p - vec3(0, -1.1, -0.08), vec3(0.50, 0.44, 0.34), 0.22), 0.12);
  float collar = torus(p - vec3(0, -0.575, -0.06), 0.205, 0.045);
  float plate = box(p - vec3(0, -0.86, 0.27), vec3(0.19, 0.13, 0.06), 0.055);
  body = smax(body, -(plate - 0.012), 0.015);
  float shoulder = sphere(q - vec3(0.60, -0.86, -0.10), 0.185);
  float cap = smax(sphere(q - vec3(0.60, -0.86, -0.10), 0.205), -(p.y + 0.83 + 0.25 * (q.x - 0.60)), 0.015);
  vec2 r = vec2(head, 0.0); r = pick(r, vec2(glass, 1.0)); r = pick(r, vec2(ear, 0.0)); r = pick(r, vec2(ring, 2.0));
  r = pick(r, vec2(knob, 3.0)); r = pick(r, vec2(mast, 3.0)); r = pick(r, vec2(base, 2.0)); r = pick(r, vec2(bulb, 4.0));
  r = pick(r, vec2(neck, 3.0)); r = pick(r, vec2(body, 0.0)); r = pick(r, vec2(collar, 2.0)); r = pick(r, vec2(plate, 1.0));
  r = pick(r, vec2(shoulder, 3.0)); r = pick(r, vec2(cap, 2.0));
  return vec2(r.x * 0.9, r.y); }
Look look(float m, vec3 p, vec3 n) {
  Look k; k.gloss = 0.55; k.rough = 0.28; k.soft = 0.15; k.glow = vec3(0.0);
  k.albedo = vec3(0.80, 0.82, 0.86);
  if (m < 0.5) { float s = smoothstep(0.008, 0.004, abs(abs(p.x) - 0.30)) * step(0.17, p.y); k.albedo *= 1.0 - 0.5 * s;
    k.albedo = mix(k.albedo, vec3(0.95, 0.34, 0.08), smoothstep(0.004, -0.004, abs(p.x) - 0.11) * step(0.30, p.y) * step(-0.5, p.y));
    k.albedo *= 1.0 - 0.5 * smoothstep(0.006, 0.002, abs(abs(p.x) - 0.11)) * step(0.30, p.y); }
  if (m > 0.5 && m < 1.5) { k.albedo = vec3(0.012, 0.020, 0.034); k.gloss = 0.85; k.rough = 0.22;
    k.glow = vec3(0.00, 0.022, 0.034) * (1.0 - smoothstep(0.0, 0.5, length(p.xy - vec2(0, 0.02)))); }
  if (m > 1.5 && m < 2.5) { k.albedo = vec3(0.92, 0.32, 0.07); k.gloss = 0.5; }
  if (m > 2.5 && m < 3.5) { k.albedo = vec3(0.10, 0.11, 0.13); k.gloss = 0.8; k.rough = 0.32; }
  if (m > 3.5) { k.albedo = vec3(0.1, 0.7, 0.75); k.glow = vec3(0.15, 0.95, 1.05) * (0.45 + 0.55 * n.z); }
  return k; }
"""
EYE_U = [(352, 476), (360, 446), (378, 427), (408, 419), (438, 427), (456, 446), (464, 476)]
EYE_L = [(464, 476), (456, 506), (438, 523), (408, 530), (378, 523), (360, 506), (352, 476)]
BROW = [(358, 366), (383, 353), (410, 348), (435, 351), (457, 360)]
MOUTH = [(432, 598), (466, 622), (512, 632), (558, 622), (592, 598)]


def eye(tag: str) -> str:
    body = d(np.vstack([curve(EYE_U), curve(EYE_L)]))
    lines = "".join(
        f'<rect x="340" y="{y}" width="136" height="2" fill="#033040" opacity="0.16"/>' for y in range(404, 540, 6)
    )
    return "".join(
        [
            path(body, "#18e0ff", opacity=0.55, filter="url(#b16)"),
            f'<clipPath id="{tag}"><path d="{body}"/></clipPath>',
            path(body, "url(#light)"),
            f'<g clip-path="url(#{tag})">{lines}'
            '<ellipse cx="410" cy="476" rx="29" ry="34" fill="#04303f"/><ellipse cx="410" cy="476" rx="29" ry="34" fill="none" stroke="#0b7f98" stroke-width="4"/>'
            '<ellipse cx="410" cy="488" rx="18" ry="16" fill="#12c3dd" opacity="0.5" filter="url(#b5)"/></g>',
            path(
                ribbon(
                    [(349, 476), (358, 444), (377, 423), (408, 414), (439, 423), (458, 444), (467, 476)],
                    [3, 8, 10, 11, 10, 8, 3],
                ),
                "#eaffff",
            ),
            path(
                ribbon(
                    [(352, 478), (362, 510), (380, 526), (408, 533), (436, 526), (454, 510), (464, 478)],
                    [0, 3, 3, 3, 3, 3, 0],
                ),
                "#9af4ff",
            ),
        ]
    )


def draw() -> Drawing:
    defs = [
        gradient("light", (0, "#e6ffff"), (0.35, "#7df4ff"), (1, "#12c6ee"), cx=404, cy=450, r=96),
        gradient("sheen", (0, "#ffffff", 0.30), (1, "#ffffff", 0.0), x1=300, y1=330, x2=430, y2=560),
        blur("b2", 2),
        blur("b5", 5),
        blur("b8", 8),
        blur("b16", 14),
    ]

    def glow(points: Points, w: float) -> str:
        return (
            f'<path d="{d(curve(points), closed=False)}" fill="none" stroke="#18e0ff" stroke-width="{w + 6}" stroke-linecap="round" opacity="0.5" filter="url(#b8)"/>'
            f'<path d="{d(curve(points), closed=False)}" fill="none" stroke="#5ff0ff" stroke-width="{w}" stroke-linecap="round"/>'
            f'<path d="{d(curve(points), closed=False)}" fill="none" stroke="#eaffff" stroke-width="{w * 0.35}" stroke-linecap="round"/>'
        )

    def shine(x: float) -> str:
        return f'<ellipse cx="{x - 13}" cy="460" rx="10" ry="12" fill="#fff"/><circle cx="{x + 12}" cy="494" r="5" fill="#fff" opacity="0.8"/>'

    svg = sheet(
        defs,
        '<image href="shape:" width="1024" height="1024"/>',
        '<circle cx="512" cy="161" r="46" fill="#35f0ff" opacity="0.35" filter="url(#b16)"/><circle cx="502" cy="150" r="8" fill="#fff" opacity="0.8" filter="url(#b2)"/>',
        '<ellipse cx="348" cy="584" rx="28" ry="15" fill="#ff5fa8" opacity="0.55" filter="url(#b8)"/><ellipse cx="676" cy="584" rx="28" ry="15" fill="#ff5fa8" opacity="0.55" filter="url(#b8)"/>',
        glow(BROW, 11),
        glow(mirror(BROW), 11),
        eye("el"),
        flip(eye("er")),
        shine(410),
        shine(614),
        glow(MOUTH, 12),
        '<path d="M330 350Q360 326 420 326L360 400Q330 470 322 470Q312 400 330 350Z" fill="url(#sheen)" filter="url(#b5)"/>',
        "".join(
            path(
                ribbon([(436 + 19 * i, 962 - (i * 7919 % 5) * 7), (436 + 19 * i, 978)], [9, 9]),
                "#35f0ff" if i < 6 else "#ff9a3c",
                opacity=0.9,
            )
            for i in range(9)
        ),
    )
    jaw = both([(250, 400), (247, 480), (252, 560), (272, 626), (322, 676), (396, 702), (460, 708), (512, 709)])
    eye_left = [(352, 476), (378, 428), (438, 428), (464, 476), (438, 522), (378, 522)]
    middle, inner = along(MOUTH, 7), along(MOUTH, 5, 0.03, 0.97)
    taper = np.array([0, 1, 1, 1, 1, 1, 0])[:, None]
    landmarks = {
        "jaw": along(jaw, 17),
        "brow_left": along(BROW, 5),
        "brow_right": along(mirror(BROW), 5),
        "nose": [
            (512, 452),
            (512, 485),
            (512, 515),
            (512, 545),
            (486, 560),
            (499, 563),
            (512, 565),
            (525, 563),
            (538, 560),
        ],
        "eye_left": eye_left,
        "eye_right": [mirror([eye_left[i]])[0] for i in (3, 2, 1, 0, 5, 4)],
        "lips": np.vstack(
            [middle - taper * (0, 8), (middle + taper * (0, 8))[5:0:-1], inner, inner[[3, 2, 1]] + (0, 1)]
        ),
        "pupils": [(410, 476), (614, 476)],
    }
    return Drawing("toy", svg, {k: np.array(v, float) for k, v in landmarks.items()}, absent=("nose",), glsl=GLSL)
