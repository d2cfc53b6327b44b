"""Ember: a young fire dragon."""
# ruff: noqa: E501

from __future__ import annotations

import numpy as np

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
vec2 flake(vec2 u) {  // overlapping round scales, the upper row over the lower; x height, y distance to the own edge
  float best = 0.0, edge = 0.0;
  for (int j = 1; j >= 0; j--) { float row = floor(u.y) + float(j), off = 0.5 * mod(row, 2.0);
    float cx = floor(u.x - off) + 0.5 + off; float r = length(vec2((u.x - cx) * 1.05, u.y - row - 0.12)) / 0.78;
    if (r < 1.0) { best = (0.35 + 0.65 * r) * smoothstep(1.0, 0.84, r); edge = smoothstep(1.0, 0.80, r); break; } }
  return vec2(best, edge); }
vec2 scaleuv(vec3 p) { return vec2(atan(p.x, p.z + 0.25) * 8.0 + 0.5, p.y * 15.0); }
float scales(vec3 p) { return flake(scaleuv(p)).x; }
float tone(vec3 p) { return flake(scaleuv(p)).y; }
float horn(vec3 q) { float a = capsule(q, vec3(0.235, 0.36, 0.02), vec3(0.33, 0.53, -0.02), 0.085, 0.062);
  a = smin(a, capsule(q, vec3(0.33, 0.53, -0.02), vec3(0.365, 0.66, -0.04), 0.060, 0.040), 0.03);
  a = smin(a, capsule(q, vec3(0.365, 0.66, -0.04), vec3(0.335, 0.77, -0.05), 0.040, 0.010), 0.03);
  return a - 0.006 * cos(q.y * 95.0 + q.x * 30.0); }
vec2 map(vec3 p) {
  vec3 q = vec3(abs(p.x), p.yz);
  float head = ellipsoid(p - vec3(0, 0.09, 0), vec3(0.485, 0.43, 0.43));
  head = smin(head, ellipsoid(q - vec3(0.22, -0.10, 0.12), vec3(0.27, 0.22, 0.28)), 0.16);
  head = smin(head, ellipsoid(q - vec3(0.21, 0.235, 0.33), vec3(0.19, 0.055, 0.10)), 0.09);
  head = smin(head, capsule(q, vec3(0.43, -0.06, 0.05), vec3(0.64, -0.02, -0.04), 0.09, 0.012), 0.10);
  head = smin(head, capsule(q, vec3(0.40, -0.20, 0.05), vec3(0.55, -0.25, -0.02), 0.075, 0.012), 0.09);
  float muzzle = ellipsoid(p - vec3(0, -0.185, 0.36), vec3(0.295, 0.185, 0.24));
  muzzle = smin(muzzle, ellipsoid(p - vec3(0, -0.29, 0.30), vec3(0.22, 0.12, 0.20)), 0.06);
  muzzle = smin(muzzle, capsule(p, vec3(0, 0.12, 0.38), vec3(0, -0.10, 0.52), 0.085, 0.11), 0.10);
  muzzle = smin(muzzle, sphere(q - vec3(0.10, -0.095, 0.56), 0.055), 0.05);
  muzzle = smax(muzzle, -ellipsoid(q - vec3(0.115, -0.095, 0.615), vec3(0.024, 0.030, 0.03)), 0.02);
  head = smin(head, muzzle, 0.07);
  float sc = scales(p); float mask = smoothstep(0.10, 0.25, length(vec2(p.x * 0.9, p.y + 0.17)) - 0.13) * smoothstep(0.13, 0.17, length(q.xy - vec2(0.205, 0.07)));
  head -= 0.0075 * sc * mask;
  float ridge = 9.0;
  ridge = min(ridge, capsule(p * vec3(1.6, 1, 1), vec3(0, 0.47, 0.06), vec3(0, 0.66, -0.02), 0.075, 0.008) * 0.65);
  ridge = min(ridge, capsule(p * vec3(1.6, 1, 1), vec3(0, 0.40, 0.27), vec3(0, 0.515, 0.30), 0.055, 0.008) * 0.65);
  float fin = ellipsoid(vec3(turn(q.xy - vec2(0.535, 0.235), -0.62), q.z + 0.05), vec3(0.215, 0.105, 0.035));
  fin -= 0.008 * cos(atan(q.y - 0.12, q.x - 0.36) * 34.0);
  float body = ellipsoid(p - vec3(0, -1.10, -0.14), vec3(0.52, 0.60, 0.38));
  body = smin(body, capsule(p, vec3(0, -0.25, -0.10), vec3(0, -0.8, -0.10), 0.215, 0.30), 0.14);
  body = smin(body, ellipsoid(q - vec3(0.42, -0.98, -0.06), vec3(0.18, 0.30, 0.20)), 0.10);
  float belly = smoothstep(0.25, 0.21, q.x - 0.10 * (-p.y - 0.7)) * step(0.0, p.z);
  body -= mix(0.0075 * scales(p * vec3(1, 0.9, 1)), 0.014 * (1.0 - pow(abs(fract(p.y * 8.5) * 2.0 - 1.0), 3.0)), belly);
  vec2 r = pick(vec2(head, 0.0), vec2(body, 1.0)); r = pick(r, vec2(horn(q), 2.0)); r = pick(r, vec2(ridge, 3.0));
  return pick(vec2(r.x * 0.85, r.y), vec2(fin * 0.7, 4.0)); }
Look look(float m, vec3 p, vec3 n) {
  Look k; k.gloss = 0.30; k.rough = 0.42; k.soft = 0.35; k.glow = vec3(0.0); float x = abs(p.x);
  vec3 red = vec3(0.80, 0.17, 0.09), deep = vec3(0.50, 0.05, 0.08), cream = vec3(0.97, 0.76, 0.46);
  vec3 c = mix(red, deep, smoothstep(0.0, 0.55, p.y) * 0.75 + 0.1);
  if (m < 0.5) {
    c = mix(c, vec3(0.95, 0.40, 0.12), smoothstep(0.30, 0.05, p.y) * smoothstep(0.48, 0.20, x) * 0.65);
    float w = 0.02 * (fbm(p * 12.0) - 0.5);
    c = mix(c, cream, smoothstep(0.03, -0.03, length(vec2(p.x / 0.25, (p.y + 0.30) / 0.165)) * 0.2 - 0.2 + w) * 0.95);
    c = mix(c, deep, smoothstep(0.38, 0.5, x) * 0.5 * step(p.y, 0.05));
    c *= 0.72 + 0.34 * mix(0.8, tone(p), smoothstep(0.1, 0.25, length(vec2(p.x, p.y + 0.17)) - 0.13)); }
  if (m > 0.5 && m < 1.5) { float b = smoothstep(0.25, 0.21, x - 0.10 * (-p.y - 0.7)) * step(0.0, p.z); c = mix(mix(red, deep, 0.45) * (0.72 + 0.34 * tone(p * vec3(1, 0.9, 1))), cream, b);
    c *= 1.0 - 0.3 * b * smoothstep(0.80, 0.98, abs(fract(p.y * 8.5) * 2.0 - 1.0)); }
  if (m > 1.5 && m < 2.5) { c = mix(vec3(0.62, 0.45, 0.30), vec3(0.98, 0.92, 0.78), smoothstep(0.40, 0.62, p.y)); c *= 0.9 + 0.1 * cos(p.y * 95.0 + x * 30.0); k.gloss = 0.4; k.rough = 0.35; }
  if (m > 2.5) { c = mix(vec3(0.98, 0.55, 0.10), vec3(0.99, 0.80, 0.25), smoothstep(0.45, 0.65, p.y)); k.soft = 0.9; }
  if (m > 3.5) { float f = length(vec2(x - 0.36, p.y - 0.12)); c = mix(vec3(0.75, 0.12, 0.10), vec3(1.0, 0.62, 0.16), smoothstep(0.1, 0.36, f)); k.soft = 1.0; }
  k.albedo = c * c * 1.05; return k; }
"""
EYE_U = [(348, 486), (362, 446), (392, 420), (430, 422), (458, 446), (472, 496)]
EYE_L = [(472, 496), (448, 522), (412, 530), (374, 520), (348, 486)]
BROW = [(336, 384), (366, 364), (402, 356), (436, 364), (464, 382)]
MOUTH = [(384, 622), (424, 650), (466, 660), (512, 656), (558, 660), (600, 650), (640, 622)]


def eye(tag: str) -> str:
    white = d(np.vstack([curve(EYE_U), curve(EYE_L)]))
    rays = "".join(
        f'<path d="M412 474L{412 + 44 * np.cos(a):.1f} {474 + 48 * np.sin(a):.1f}" stroke="#fff2a0" stroke-width="2.4" opacity="0.3"/>'
        for a in np.linspace(0, 2 * np.pi, 28)
    )
    return "".join(
        [
            path(
                white,
                "#2a0406",
                stroke="#2a0406",
                stroke_width=20,
                stroke_linejoin="round",
                opacity=0.6,
                filter="url(#b6)",
            ),
            f'<clipPath id="{tag}"><path d="{white}"/></clipPath>',
            path(white, "#fbf3da"),
            f'<g clip-path="url(#{tag})"><ellipse cx="412" cy="474" rx="48" ry="51" fill="#5a1c02"/><ellipse cx="412" cy="474" rx="45" ry="48" fill="url(#iris)"/>{rays}',
            '<ellipse cx="412" cy="498" rx="30" ry="20" fill="url(#glow)"/><path d="M412 434Q430 474 412 514Q394 474 412 434Z" fill="#150503"/>',
            path("M330 410H490V456Q420 424 330 476Z", "#2a0804", opacity=0.55, filter="url(#b6)"),
            "</g>",
            path(
                ribbon(
                    [(338, 486), (358, 440), (392, 413), (432, 415), (464, 440), (480, 502)], [4, 13, 16, 15, 12, 5]
                ),
                "#2c070a",
            ),
            path(ribbon([(476, 498), (448, 526), (412, 534), (372, 524), (346, 488)], [6, 6, 7, 6, 4]), "#3a0a0c"),
        ]
    )


def wing() -> str:
    tips = [(66, 400), (30, 590), (62, 762), (150, 900)]
    membrane = [
        (330, 830, 1),
        (262, 740),
        (176, 590),
        (*tips[0], 1),
        (82, 500),
        (*tips[1], 1),
        (88, 670),
        (*tips[2], 1),
        (140, 812),
        (*tips[3], 1),
        (236, 890),
        (330, 980, 1),
    ]
    bones = [
        [(350, 850), (262, 740), (176, 590), tips[0]],
        [(262, 745), (160, 650), tips[1]],
        [(280, 780), (180, 750), tips[2]],
        [(320, 850), (240, 862), tips[3]],
    ]
    out = path(shape(membrane), "url(#wing)", stroke="#4a0a10", stroke_width=4, stroke_linejoin="round")
    for i, b in enumerate(bones):
        out += path(
            ribbon([(x + 5, y + 7) for x, y in b], [5, 20 - 4 * i, 14 - 3 * i, 3]),
            "#3a060c",
            opacity=0.45,
            filter="url(#b6)",
        )
        out += path(ribbon(b, [5, 24 - 4 * i, 16 - 3 * i, 3]), "url(#bone)", stroke="#4a0a10", stroke_width=2.5)
    return out


def draw() -> Drawing:
    defs = [
        gradient("iris", (0, "#b8520a"), (0.45, "#f5a61c"), (1, "#ffe76a"), x1=0, y1=426, x2=0, y2=522),
        gradient("glow", (0, "#fffbc0", 0.9), (1, "#ffd84a", 0), cx=412, cy=502, r=32),
        gradient("wing", (0, "#ffb03a"), (0.5, "#e2551f"), (1, "#8a1420"), x1=60, y1=460, x2=330, y2=900),
        gradient("bone", (0, "#d8402a"), (1, "#7a1018"), x1=60, y1=440, x2=300, y2=860),
        blur("b2", 2),
        blur("b6", 6),
    ]

    def shine(x: float) -> str:
        return f'<ellipse cx="{x - 16}" cy="454" rx="12" ry="15" fill="#fff" transform="rotate(18 {x - 16} 454)"/><circle cx="{x + 18}" cy="498" r="6" fill="#fff" opacity="0.85"/>'

    brow = path(
        ribbon(BROW, [4, 13, 16, 13, 4]), "#2a0406", opacity=0.5, filter="url(#b6)", transform="translate(0 5)"
    ) + path(ribbon(BROW, [3, 12, 15, 12, 4]), "#4a080e")
    svg = sheet(
        defs,
        wing(),
        flip(wing()),
        '<image href="shape:" width="1024" height="1024"/>',
        brow,
        flip(brow),
        eye("el"),
        flip(eye("er")),
        shine(412),
        shine(612),
        path(
            ribbon(MOUTH, [2, 9, 10, 10, 10, 9, 2]),
            "#4a0c08",
            opacity=0.5,
            filter="url(#b6)",
            transform="translate(0 4)",
        ),
        path(ribbon(MOUTH, [3, 6, 7, 7, 7, 6, 3]), "#3a0808"),
        path(ribbon([(376, 612), (383, 622), (380, 634)], [0, 6, 0]), "#3a0808"),
        path(ribbon([(648, 612), (641, 622), (644, 634)], [0, 6, 0]), "#3a0808"),
    )
    jaw = both([(270, 440), (266, 510), (280, 580), (312, 630), (362, 672), (420, 706), (470, 721), (512, 724)])
    eye_left = [(348, 486), (376, 431), (446, 432), (472, 496), (434, 528), (378, 522)]
    middle, inner = along(MOUTH, 7), along(MOUTH, 5, 0.02, 0.98)
    taper = np.array([0, 1, 1, 1, 1, 1, 0])[:, None]
    landmarks = {
        "jaw": along(jaw, 17),
        "brow_left": along(BROW, 5),
        "brow_right": along(mirror(BROW), 5),
        "nose": [
            (512, 480),
            (512, 510),
            (512, 535),
            (512, 556),
            (456, 566),
            (484, 584),
            (512, 588),
            (540, 584),
            (568, 566),
        ],
        "eye_left": eye_left,
        "eye_right": [mirror([eye_left[i]])[0] for i in (3, 2, 1, 0, 5, 4)],
        "lips": np.vstack(
            [middle - taper * (0, 9), (middle + taper * (0, 12))[5:0:-1], inner, inner[[3, 2, 1]] + (0, 1)]
        ),
        "pupils": [(412, 474), (612, 474)],
    }
    return Drawing("animal", svg, {k: np.array(v, float) for k, v in landmarks.items()}, glsl=GLSL)
