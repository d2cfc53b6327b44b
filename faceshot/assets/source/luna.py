"""Luna: an axolotl with feathery gills."""
# ruff: noqa: E501

from __future__ import annotations

import numpy as np

from faceshot.assets.source.ink import Drawing, along, blur, both, curve, d, flip, gradient, mirror, path, ribbon, sheet

GLSL = """
float frond(vec3 q, vec3 a, vec3 b, vec3 c, float s) {
  float stem = smin(capsule(q, a, b, 0.062 * s, 0.045 * s), capsule(q, b, c, 0.045 * s, 0.016 * s), 0.03);
  vec3 t = normalize(c - a); float h = dot(q - a, t), L = length(c - a);
  vec3 n = q - a - t * h; float k = cos(h * 118.0 - length(n.xy) * 40.0); float reach = (0.150 * s) * sin(clamp(h / L, 0.0, 1.0) * 2.6 + 0.35);
  float fringe = max(max(length(n.xy) - reach * (0.70 + 0.30 * k), abs(q.z - a.z + 0.02) - 0.014 - 0.012 * k), max(0.10 - h, h - L * 1.02));
  return smin(stem, fringe * 0.45, 0.025); }
float gill(vec3 q) { float g = frond(q, vec3(0.40, 0.24, -0.06), vec3(0.55, 0.42, -0.08), vec3(0.60, 0.64, -0.06), 1.0);
  g = min(g, frond(q, vec3(0.47, 0.10, -0.04), vec3(0.68, 0.19, -0.06), vec3(0.82, 0.32, -0.04), 1.0));
  return min(g, frond(q, vec3(0.46, -0.06, -0.03), vec3(0.66, -0.07, -0.05), vec3(0.82, -0.04, -0.03), 0.92)); }
vec2 map(vec3 p) {
  vec3 q = vec3(abs(p.x), p.yz);
  float head = ellipsoid(p - vec3(0, 0.05, 0), vec3(0.53, 0.42, 0.40));
  head = smin(head, ellipsoid(q - vec3(0.27, -0.12, 0.08), vec3(0.28, 0.20, 0.28)), 0.18);
  head = smin(head, ellipsoid(p - vec3(0, -0.12, 0.20), vec3(0.34, 0.24, 0.28)), 0.16);
  head += 0.008 * smoothstep(0.10, 0.0, abs(p.x)) * smoothstep(0.15, 0.40, p.y);
  float crest = capsule(p * vec3(2.4, 1, 1), vec3(0, 0.40, 0.02), vec3(0, 0.47, -0.10), 0.10, 0.06) * 0.5;
  head = smin(head, crest, 0.06);
  float body = ellipsoid(p - vec3(0, -1.02, -0.14), vec3(0.40, 0.56, 0.34));
  body = smin(body, capsule(p, vec3(0, -0.25, -0.08), vec3(0, -0.7, -0.10), 0.24, 0.28), 0.14);
  float arm = capsule(q, vec3(0.33, -0.72, 0.02), vec3(0.56, -0.88, 0.10), 0.105, 0.085);
  arm = smin(arm, capsule(q, vec3(0.56, -0.88, 0.10), vec3(0.70, -0.78, 0.14), 0.06, 0.036), 0.04);
  arm = smin(arm, capsule(q, vec3(0.56, -0.88, 0.10), vec3(0.74, -0.88, 0.16), 0.06, 0.036), 0.04);
  arm = smin(arm, capsule(q, vec3(0.56, -0.88, 0.10), vec3(0.69, -0.98, 0.16), 0.06, 0.036), 0.04);
  body = smin(body, arm, 0.08);
  return pick(pick(vec2(head, 0.0), vec2(body, 1.0)), vec2(gill(q) * 0.8, 2.0)); }
Look look(float m, vec3 p, vec3 n) {
  Look k; k.gloss = 0.20; k.rough = 0.30; k.soft = 0.85; k.glow = vec3(0.0); float x = abs(p.x);
  vec3 pink = vec3(0.90, 0.52, 0.63), pale = vec3(0.96, 0.74, 0.75), rose = vec3(0.85, 0.22, 0.46), plum = vec3(0.62, 0.16, 0.52);
  vec3 c = mix(pink, pale, smoothstep(0.05, -0.25, p.y) * smoothstep(0.45, 0.10, x));
  if (m < 0.5) { c = mix(c, vec3(0.84, 0.38, 0.58), smoothstep(0.20, 0.50, p.y) * 0.7);
    vec2 g = vec2(x, p.y) * 15.0; vec2 i = floor(g); vec2 o = vec2(hash(vec3(i, 3.0)), hash(vec3(i, 5.0)));
    float dots = smoothstep(0.30, 0.20, length(fract(g) - 0.3 - 0.4 * o) / (0.4 + 0.8 * hash(vec3(i, 9.0)))) * step(0.45, hash(vec3(i, 7.0)));
    float zone = max(smoothstep(0.30, 0.38, p.y), smoothstep(0.40, 0.46, x) * smoothstep(-0.15, -0.05, p.y) );
    c = mix(c, vec3(0.68, 0.20, 0.46), dots * zone * 0.75); }
  if (m > 0.5 && m < 1.5) { c = mix(pink, pale, smoothstep(0.26, 0.14, x)); c = mix(c, vec3(0.84, 0.38, 0.58), smoothstep(0.42, 0.62, x) * 0.7); }
  if (m > 1.5) { float r = length(vec2(x - 0.38, p.y - 0.06)); c = mix(mix(pink, rose, smoothstep(0.05, 0.22, r)), plum, smoothstep(0.28, 0.62, r)); k.gloss = 0.25; }
  k.albedo = c * c; return k; }
"""
EYE_U = [(322, 482), (334, 444), (362, 420), (396, 420), (424, 444), (438, 486)]
EYE_L = [(438, 486), (420, 522), (380, 536), (342, 520), (322, 482)]
BROW = [(318, 360), (344, 342), (374, 334), (406, 340), (430, 354)]
MOUTH = [(386, 592), (418, 622), (468, 640), (512, 644), (556, 640), (606, 622), (638, 592)]


def eye(tag: str) -> str:
    white = d(np.vstack([curve(EYE_U), curve(EYE_L)]))
    stars = "".join(
        f'<circle cx="{380 + r * np.cos(a):.1f}" cy="{478 + r * np.sin(a):.1f}" r="{s}" fill="#fff" opacity="0.55"/>'
        for a, r, s in [
            (0.4, 34, 1.8),
            (1.2, 38, 1.4),
            (2.0, 30, 2.0),
            (2.8, 36, 1.5),
            (0.9, 26, 1.3),
            (1.6, 40, 1.8),
            (2.4, 42, 1.2),
        ]
    )
    return "".join(
        [
            path(
                white,
                "#8a2a5a",
                stroke="#8a2a5a",
                stroke_width=18,
                stroke_linejoin="round",
                opacity=0.45,
                filter="url(#b6)",
            ),
            f'<clipPath id="{tag}"><path d="{white}"/></clipPath>',
            path(white, "#fff6fb"),
            f'<g clip-path="url(#{tag})"><ellipse cx="380" cy="478" rx="50" ry="54" fill="#1a0f3c"/><ellipse cx="380" cy="478" rx="47" ry="51" fill="url(#iris)"/>',
            '<ellipse cx="380" cy="508" rx="34" ry="20" fill="url(#glow)"/>',
            stars,
            '<ellipse cx="380" cy="476" rx="21" ry="26" fill="#0c0722"/>',
            path("M306 400H456V452Q390 420 306 470Z", "#1a0830", opacity=0.5, filter="url(#b6)"),
            "</g>",
            path(
                ribbon(
                    [(314, 484), (330, 440), (362, 413), (398, 413), (430, 440), (446, 490)], [3, 10, 13, 13, 10, 3]
                ),
                "#4a1540",
            ),
            path(ribbon([(440, 492), (420, 527), (380, 541), (340, 525), (320, 488)], [2, 4, 5, 4, 2]), "#8a3564"),
            path(ribbon([(320, 468), (306, 462), (294, 452)], [11, 7, 0]), "#4a1540"),
        ]
    )


def draw() -> Drawing:
    defs = [
        gradient("iris", (0, "#2a1a6a"), (0.5, "#5a3ac0"), (1, "#c08af5"), x1=0, y1=428, x2=0, y2=530),
        gradient("glow", (0, "#ffd0ff", 0.95), (1, "#d89aff", 0), cx=380, cy=512, r=36),
        blur("b2", 2),
        blur("b6", 6),
        blur("b14", 14),
    ]

    def shine(x: float) -> str:
        return f'<ellipse cx="{x - 17}" cy="456" rx="13" ry="16" fill="#fff" transform="rotate(18 {x - 17} 456)"/><circle cx="{x + 19}" cy="504" r="7" fill="#fff" opacity="0.85"/>'

    cheek = '<ellipse cx="318" cy="586" rx="44" ry="24" fill="#ff4f86" opacity="0.5" filter="url(#b14)"/>'
    brow = path(ribbon(BROW, [3, 9, 11, 9, 3]), "#a83a70", opacity=0.9)
    svg = sheet(
        defs,
        '<image href="shape:" width="1024" height="1024"/>',
        cheek,
        flip(cheek),
        brow,
        flip(brow),
        eye("el"),
        flip(eye("er")),
        shine(380),
        shine(644),
        '<ellipse cx="496" cy="560" rx="4" ry="5.5" fill="#a83a64" transform="rotate(-14 496 560)"/><ellipse cx="528" cy="560" rx="4" ry="5.5" fill="#a83a64" transform="rotate(14 528 560)"/>',
        path(
            ribbon([(x, y + 9) for x, y in MOUTH], [2, 10, 12, 12, 12, 10, 2]),
            "#ffffff",
            opacity=0.45,
            filter="url(#b6)",
        ),
        path(ribbon(MOUTH, [3, 6, 7, 7, 7, 6, 3]), "#a02a58"),
        path(ribbon([(376, 584), (385, 592), (383, 606)], [0, 6, 0]), "#a02a58"),
        path(ribbon([(648, 584), (639, 592), (641, 606)], [0, 6, 0]), "#a02a58"),
    )
    jaw = both([(250, 440), (238, 510), (246, 586), (286, 648), (348, 688), (412, 706), (464, 712), (512, 713)])
    eye_left = [(322, 482), (346, 430), (411, 430), (438, 486), (400, 533), (350, 526)]
    middle, inner = along(MOUTH, 7), along(MOUTH, 5, 0.02, 0.98)
    taper = np.array([0, 1, 1, 1, 1, 1, 0])[:, None]
    landmarks = {
        "jaw": along(jaw, 17),
        "brow_left": along(BROW, 5),
        "brow_right": along(mirror(BROW), 5),
        "nose": [
            (512, 480),
            (512, 506),
            (512, 530),
            (512, 552),
            (490, 562),
            (501, 566),
            (512, 568),
            (523, 566),
            (534, 562),
        ],
        "eye_left": eye_left,
        "eye_right": [mirror([eye_left[i]])[0] for i in (3, 2, 1, 0, 5, 4)],
        "lips": np.vstack(
            [middle - taper * (0, 9), (middle + taper * (0, 11))[5:0:-1], inner, inner[[3, 2, 1]] + (0, 1)]
        ),
        "pupils": [(380, 478), (644, 478)],
    }
    return Drawing("animal", svg, {k: np.array(v, float) for k, v in landmarks.items()}, glsl=GLSL)
