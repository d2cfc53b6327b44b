"""Package data: characters, motion clips."""
