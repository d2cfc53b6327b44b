"""The LivePortrait animator: photo-real, real-time on a GPU, from the official weights in modules of our own.

blocks       what the networks share; names are those of the checkpoints
appearance   F: source picture -> feature volume
extractor    M: face -> pose, expression, place and size
warping      W: feature volume + two sets of points -> feature map
decoder      G: feature map -> 512² picture
"""
