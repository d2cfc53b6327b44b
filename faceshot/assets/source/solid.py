"""Solid characters: a signed distance field in GLSL, ray-marched by Chromium's own WebGL.

A character gives `vec2 map(vec3 p)` (distance, material number) and `Look look(float m, vec3 p, vec3 n)`. The view is
orthographic along -z: x in -1..1 to the right, y in -1..1 up, so sheet pixel = 512 + 512 x, 512 - 512 y, and what is
painted over the shape as SVG lands where it should. Light comes from the top left, a cool rim from the right.
"""
# ruff: noqa: E501

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

SIZE = 1024

LIBRARY = """#version 300 es
precision highp float;
uniform vec2 offset; uniform int mode; uniform float scale;
out vec4 color;
struct Look { vec3 albedo; float gloss; float rough; float soft; vec3 glow; };
float sphere(vec3 p, float r) { return length(p) - r; }
float ellipsoid(vec3 p, vec3 r) { float k0 = length(p / r), k1 = length(p / (r * r)); return k0 * (k0 - 1.0) / k1; }
float box(vec3 p, vec3 b, float r) { vec3 q = abs(p) - b + r; return length(max(q, 0.0)) + min(max(q.x, max(q.y, q.z)), 0.0) - r; }
float capsule(vec3 p, vec3 a, vec3 b, float ra, float rb) {
  vec3 pa = p - a, ba = b - a; float h = clamp(dot(pa, ba) / dot(ba, ba), 0.0, 1.0);
  return length(pa - ba * h) - mix(ra, rb, h); }
float torus(vec3 p, float R, float r) { return length(vec2(length(p.xz) - R, p.y)) - r; }
float cylinder(vec3 p, float h, float r, float e) { vec2 d = vec2(length(p.xz) - r, abs(p.y) - h) + e;
  return min(max(d.x, d.y), 0.0) + length(max(d, 0.0)) - e; }
float smin(float a, float b, float k) { float h = max(k - abs(a - b), 0.0) / k; return min(a, b) - h * h * k * 0.25; }
float smax(float a, float b, float k) { return -smin(-a, -b, k); }
vec2 pick(vec2 a, vec2 b) { return a.x < b.x ? a : b; }
vec2 turn(vec2 p, float a) { float c = cos(a), s = sin(a); return vec2(c * p.x - s * p.y, s * p.x + c * p.y); }
float hash(vec3 p) { p = fract(p * vec3(0.1031, 0.11369, 0.13787)); p += dot(p, p.yzx + 19.19); return fract((p.x + p.y) * p.z); }
float noise(vec3 p) { vec3 i = floor(p), f = fract(p); f = f * f * (3.0 - 2.0 * f);
  return mix(mix(mix(hash(i), hash(i + vec3(1,0,0)), f.x), mix(hash(i + vec3(0,1,0)), hash(i + vec3(1,1,0)), f.x), f.y),
             mix(mix(hash(i + vec3(0,0,1)), hash(i + vec3(1,0,1)), f.x), mix(hash(i + vec3(0,1,1)), hash(i + vec3(1,1,1)), f.x), f.y), f.z); }
float fbm(vec3 p) { return 0.55 * noise(p) + 0.28 * noise(p * 2.1 + 3.1) + 0.17 * noise(p * 4.3 + 7.7); }
"""

LIGHT = """
vec3 normal(vec3 p) { vec2 e = vec2(1.0, -1.0) * 0.0012;
  return normalize(e.xyy * map(p + e.xyy).x + e.yyx * map(p + e.yyx).x + e.yxy * map(p + e.yxy).x + e.xxx * map(p + e.xxx).x); }
float shadow(vec3 p, vec3 l) { float s = 1.0, t = 0.03;
  for (int i = 0; i < 22; i++) { float h = map(p + l * t).x; s = min(s, 0.5 + 0.5 * h / (0.11 * t)); if (s < 0.0 || t > 1.6) break;
    t += clamp(h, 0.025, 0.15); }
  s = max(s, 0.0); return s * s * (3.0 - 2.0 * s); }
float occlusion(vec3 p, vec3 n) { float o = 0.0, w = 1.0;
  for (int i = 0; i < 5; i++) { float h = 0.015 + 0.055 * float(i); o += (h - map(p + n * h).x) * w; w *= 0.82; }
  return clamp(1.0 - 1.5 * o, 0.0, 1.0); }
float spec(vec3 n, vec3 l, vec3 v, float rough) { vec3 h = normalize(l + v); float a = rough * rough, c = max(dot(n, h), 0.0);
  float k = c * c * (a * a - 1.0) + 1.0; return a * a / (3.14159 * k * k) * 0.25; }
vec4 march(vec2 xy) {
  vec3 o = vec3(xy, 2.5), p = o; float t = 0.0; bool hit = false;
  for (int i = 0; i < 90; i++) { p = o - vec3(0, 0, t); float h = map(p).x; if (h < 0.0008) { hit = true; break; } t += h * 0.82; if (t > 4.5) break; }
  if (!hit) return vec4(0.0);
  float m = map(p).y; vec3 n = normal(p), v = vec3(0, 0, 1);
  if (mode == 1) return vec4(n * 0.5 + 0.5, (m + 1.0) / 32.0);
  Look k = look(m, p, n);
  vec3 key = normalize(vec3(-0.55, 0.72, 0.75)), rim = normalize(vec3(0.85, 0.25, -0.42)), fill = normalize(vec3(0.7, -0.1, 0.7));
  float ao = occlusion(p, n), sh = shadow(p + n * 0.01, key);
  float d = dot(n, key); float wrap = mix(max(d, 0.0), max((d + 0.45) / 1.45, 0.0), k.soft); sh = mix(sh, 0.35 + 0.65 * sh, k.soft);
  float f = pow(1.0 - max(dot(n, v), 0.0), 3.5);
  vec3 sky = mix(vec3(0.42, 0.34, 0.40), vec3(0.62, 0.70, 0.86), 0.5 + 0.5 * n.y);
  vec3 lit = vec3(1.55, 1.42, 1.25) * wrap * sh + sky * 0.46 * ao + vec3(0.22, 0.26, 0.34) * max(dot(n, fill), 0.0) * ao;
  vec3 c = k.albedo * lit;
  c += k.albedo * k.albedo * vec3(1.0, 0.45, 0.35) * k.soft * 0.30 * (1.0 - sh * wrap) * ao;
  c += k.gloss * (vec3(2.6, 2.5, 2.4) * spec(n, key, v, k.rough) * sh + vec3(0.9, 1.1, 1.4) * spec(n, fill, v, k.rough) * 0.35) * ao;
  c += k.gloss * f * vec3(0.75, 0.9, 1.15) * 0.55 * ao * (0.4 + 0.6 * max(n.y, 0.0));
  float back = max(dot(n, rim), 0.0) * pow(1.0 - max(n.z, 0.0), 1.5);
  c += back * vec3(0.75, 1.0, 1.35) * 1.15 * mix(k.albedo, vec3(1.0), 0.35) * (0.3 + 0.7 * ao);
  c += k.glow;
  c = c * 0.82; c = (c * (2.51 * c + 0.06)) / (c * (2.43 * c + 0.55) + 0.12);
  return vec4(pow(clamp(c, 0.0, 1.0), vec3(0.4545)), 1.0); }
void main() {
  vec2 px = gl_FragCoord.xy + offset; vec4 s = vec4(0.0);
  if (mode == 1) { color = march((px * scale / 512.0) - 1.0); return; }
  int n = scale > 1.5 ? 1 : 2;
  for (int j = 0; j < n; j++) for (int i = 0; i < n; i++) {
    vec2 q = px - 0.5 + (vec2(float(i), float(j)) + 0.5) / float(n); vec4 c = march(q * scale / 512.0 - 1.0); s += vec4(c.rgb * c.a, c.a); }
  color = vec4(s.rgb / max(s.a, 0.001), s.a / float(n * n)); }
"""

_RUN = """([source, size, scale, mode]) => {
  const T = 128, canvas = document.createElement('canvas'); canvas.width = canvas.height = T;
  const gl = canvas.getContext('webgl2', {antialias: false, premultipliedAlpha: false, preserveDrawingBuffer: true});
  const build = (kind, text) => { const s = gl.createShader(kind); gl.shaderSource(s, text); gl.compileShader(s);
    if (!gl.getShaderParameter(s, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(s)); return s; };
  const p = gl.createProgram();
  gl.attachShader(p, build(gl.VERTEX_SHADER, '#version 300 es\\nin vec2 a; void main() { gl_Position = vec4(a, 0, 1); }'));
  gl.attachShader(p, build(gl.FRAGMENT_SHADER, source)); gl.linkProgram(p); gl.useProgram(p);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
  gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
  gl.uniform1f(gl.getUniformLocation(p, 'scale'), scale); gl.uniform1i(gl.getUniformLocation(p, 'mode'), mode);
  const all = new Uint8Array(size * size * 4), tile = new Uint8Array(T * T * 4);
  for (let y = 0; y < size; y += T) for (let x = 0; x < size; x += T) {
    gl.uniform2f(gl.getUniformLocation(p, 'offset'), x, y); gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.readPixels(0, 0, T, T, gl.RGBA, gl.UNSIGNED_BYTE, tile);
    for (let r = 0; r < T; r++) all.set(tile.subarray(r * T * 4, (r + 1) * T * 4), ((y + r) * size + x) * 4); }
  let text = ''; for (let i = 0; i < all.length; i += 8192) text += String.fromCharCode.apply(null, all.subarray(i, i + 8192));
  return btoa(text); }"""


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A page of 1024 x 1024 pixels."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--no-sandbox"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        yield browser.new_page(viewport={"width": SIZE, "height": SIZE})
        browser.close()


def render(page: Any, glsl: str, draft: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The shape as (1024, 1024, 4) uint8 with straight alpha, and (1024, 1024, 4) float32: normal (y up), material.

    `draft` renders at half the size without anti-aliasing. Material is -1 where nothing is.
    """
    source = LIBRARY + glsl + LIGHT
    size = SIZE // 2 if draft else SIZE
    images = []
    for mode in (0, 1):
        data = base64.b64decode(page.evaluate(_RUN, [source, size, SIZE / size, mode]))
        image = np.frombuffer(data, np.uint8).reshape(size, size, 4)[::-1].copy()
        images.append(cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST) if draft else image)
    raw = images[1].astype(np.float32)
    normals = raw / 255 * 2 - 1
    normals[..., 3] = np.where(raw[..., 3] > 0, np.round(raw[..., 3] / 255 * 32) - 1, -1)
    return images[0], normals
