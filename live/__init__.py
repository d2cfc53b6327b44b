"""Everything with a clock, a socket or a device. Start reading at `live/pipeline.py`."""
