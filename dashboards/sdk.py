"""The parts of Grafana's SDK that are used here, imported without its advice.

It advises the newer schema of dashboards, which Grafana 13 refuses to read from files.
"""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
    from grafana_foundation_sdk.builders import (
        bargauge,
        common,
        dashboard,
        prometheus,
        stat,
        table,
        timeseries,
    )

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as dashboard_model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

__all__ = [
    "Builder",
    "JSONEncoder",
    "PromQueryFormat",
    "bargauge",
    "common",
    "common_model",
    "dashboard",
    "dashboard_model",
    "prometheus",
    "stat",
    "table",
    "timeseries",
]
