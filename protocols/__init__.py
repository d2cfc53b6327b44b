"""Every byte that crosses a process boundary, sans-I/O: bytes in, typed events out, and back. Standard library only."""
