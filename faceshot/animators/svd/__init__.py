"""Stable Video Diffusion moved by landmarks, with the published adapter of MOFA-Video.

raster, hints     landmarks as pose pictures and as sparse motion hints
cmp               hints -> dense optical flow
splat, matting    a feature of the reference carried along the flow
controlnet        the landmark adapter's network; `adapter` is its plug
unet              the stock UNet with an adapter's output put in
checkpoints       the published files: finding, checking, loading
windows, sampler  how a clip of any length is denoised in windows of 25
quality           the offline animator
"""
