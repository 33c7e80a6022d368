"""What the world may see: every metric, their families made fresh from a Snapshot, their text."""
