"""``python -m jupyter_kernel_exporter``."""

import sys

from jupyter_kernel_exporter.cli import main

sys.exit(main())
