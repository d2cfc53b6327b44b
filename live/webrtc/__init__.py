"""WebRTC on aiortc: a phone's video in, rendered pictures out. Imported only when the first peer comes."""
