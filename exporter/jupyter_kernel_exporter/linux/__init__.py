"""The operating system, read and parsed. Knows nothing of Jupyter, metrics or HTTP.

Every ``read_x(root, pid)`` touches the disk, every ``parse_x(text)`` is pure. What vanished
between two reads is ``None``; what may not be read raises :exc:`PermissionError`.
"""
