"""The drawings behind the bundled characters (not in the wheel)."""
