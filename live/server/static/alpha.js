// Puts colour (left half of a video) and alpha (right half, as grey) together on a canvas, with WebGL.

const VERTEX = "attribute vec2 at; varying vec2 uv; void main() { uv = vec2(at.x, 1.0 - at.y); gl_Position = vec4(at * 2.0 - 1.0, 0.0, 1.0); }";
const FRAGMENT =
  "precision mediump float; varying vec2 uv; uniform sampler2D both; uniform float half_texel; void main() {" +
  " float x = min(uv.x * 0.5, 0.5 - half_texel);" + // the two halves must not run into each other
  " float alpha = texture2D(both, vec2(max(0.5 + uv.x * 0.5, 0.5 + half_texel), uv.y)).r;" +
  " gl_FragColor = vec4(texture2D(both, vec2(x, uv.y)).rgb * alpha, alpha); }";

// Draws every picture of `video` until the page ends.
export function merge(video, canvas) {
  if (canvas.dataset.merging) return;
  canvas.dataset.merging = "yes";
  const gl = canvas.getContext("webgl", { premultipliedAlpha: true, alpha: true, antialias: false, preserveDrawingBuffer: true });
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
  const at = gl.getAttribLocation(program, "at");
  gl.enableVertexAttribArray(at);
  gl.vertexAttribPointer(at, 2, gl.FLOAT, false, 0, 0);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
  const halfTexel = gl.getUniformLocation(program, "half_texel");

  const draw = () => {
    const width = video.videoWidth;
    if (width > 1) {
      if (canvas.width !== width / 2 || canvas.height !== video.videoHeight) {
        canvas.width = width / 2;
        canvas.height = video.videoHeight;
        gl.viewport(0, 0, canvas.width, canvas.height);
        gl.uniform1f(halfTexel, 0.5 / width);
      }
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, video);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    }
    next();
  };
  const next = () => (video.requestVideoFrameCallback ? video.requestVideoFrameCallback(draw) : requestAnimationFrame(draw));
  draw();
}
