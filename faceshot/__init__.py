"""The science: image and motion in, image out. Synchronous and timeless; see each module for its source."""
