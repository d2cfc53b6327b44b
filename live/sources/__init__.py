"""Where motion comes from: cameras, video files and motion clips. Each file implements `live.stages.Source`."""
