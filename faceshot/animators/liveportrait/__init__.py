"""The LivePortrait animator: photo-real, real-time on a GPU, from the official weights in modules of our own.

    blocks         what the networks share; names are those of the checkpoints
    appearance     F: source picture -> feature volume
    extractor      M: face -> pose, expression, place and size
    warping        W: feature volume + two sets of points -> feature map; fast_warping: the same, faster
    decoder        G: feature map -> 512² picture; fast_decoder: the same, faster
    checkpoints    files -> networks, and refusing what is not one; tiny: random ones for trying
    engine         all of it on one device: half precision, CUDA graphs

    keypoints      M's output -> 21 points
    official       the published motion rules, case by case; ratios: how open eyes and lips are
    live_motion    motion for live use; driving: what the host knows of a performer; sliders: motion without pixels

    crop           which square is seen; driver_crop: of the camera; faceless: without a face; people: several
    paste          back into the picture, with its alpha
    source         a picture, ready to be animated
    settings       what can be set
    animator       the order of it all; video: portrait videos, offline

Only `crop`, `driver_crop`, `faceless`, `paste`, `people`, `ratios` and `settings` work without torch.
"""
