"""HTTP: metrics, JSON API, page. Sees published Snapshots, never the daemon."""
